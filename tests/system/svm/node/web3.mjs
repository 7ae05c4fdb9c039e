// @solana/web3.js 1.x against a node: node web3.mjs HTTP MODULES. It finds the WebSocket by itself, on the port after.
// Prints one JSON object of what it saw.
import { createRequire } from 'node:module';

const [http, modules] = process.argv.slice(2);
const web3 = createRequire(`${modules}/`)('@solana/web3.js');

const PRICE = new web3.PublicKey(Buffer.alloc(32, 71));
const connection = new web3.Connection(http, 'confirmed');
const payer = web3.Keypair.generate();
const recipient = web3.Keypair.generate().publicKey;
const saw = { ws: connection._rpcWsEndpoint };

saw.version = await connection.getVersion();
saw.slot = await new Promise((resolve) => {
  const id = connection.onSlotChange(async (told) => {
    await connection.removeSlotChangeListener(id);
    resolve(told);
  });
});

const airdrop = await connection.requestAirdrop(payer.publicKey, 5 * web3.LAMPORTS_PER_SOL);
const latest = await connection.getLatestBlockhash();
saw.airdrop = (await connection.confirmTransaction({ signature: airdrop, ...latest }, 'confirmed')).value;
saw.funded = await connection.getBalance(payer.publicKey);

const pay = (lamports) =>
  new web3.Transaction().add(
    web3.SystemProgram.transfer({ fromPubkey: payer.publicKey, toPubkey: recipient, lamports }),
  );
// The listener is subscribed in the background: finality leaves it the time.
const logged = new Promise((resolve) => {
  connection.onLogs(recipient, (logs) => resolve(logs), 'finalized');
});
saw.signature = await web3.sendAndConfirmTransaction(connection, pay(web3.LAMPORTS_PER_SOL), [payer]);
saw.logs = await logged;
saw.moved = await connection.getBalance(recipient);
saw.fee = await (async () => {
  const asked = pay(1);
  asked.recentBlockhash = (await connection.getLatestBlockhash()).blockhash;
  asked.feePayer = payer.publicKey;
  return (await asked.getEstimatedFee(connection));
})();
const record = await connection.getParsedTransaction(saw.signature, {
  commitment: 'confirmed', maxSupportedTransactionVersion: 0,
});
saw.record = { slot: record.slot, fee: record.meta.fee, signer: record.transaction.message.accountKeys[0].signer };

try {
  await web3.sendAndConfirmTransaction(connection, pay(900 * web3.LAMPORTS_PER_SOL), [payer]);
} catch (error) {
  saw.failure = { name: error.constructor.name, message: error.message, logs: error.logs };
}

const parsed = await connection.getParsedAccountInfo(PRICE);
saw.fallback = Buffer.isBuffer(parsed.value.data);
saw.changes = await new Promise((resolve) => {
  const seen = [];
  connection.onAccountChange(PRICE, (account, context) => {
    seen.push({ slot: context.slot, counter: account.data.readUInt32LE(4) });
    if (seen.length === 3) resolve(seen);
  }, 'confirmed');
});
process.stdout.write(`${JSON.stringify(saw)}\n`, () => process.exit(0));
