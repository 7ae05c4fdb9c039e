// @solana/kit against a node: node kit.mjs HTTP WS BEHIND_HTTP MODULES. Prints one JSON object of what it saw.
// BigInt (lamports, slots) is shown as a string.
import { createRequire } from 'node:module';

const [http, ws, behind, modules] = process.argv.slice(2);
const kit = createRequire(`${modules}/`)('@solana/kit');

const SYSTEM = '11111111111111111111111111111111';
const PYTH = 'FsJ3A3u2vn5cTVofAjvy6y5kwABJAqYWpe4975bi2epH';
const rpc = kit.createSolanaRpc(http);
const rpcSubscriptions = kit.createSolanaRpcSubscriptions(ws);
const stop = new AbortController();
const saw = {};

const payer = await kit.generateKeyPairSigner();
const recipient = (await kit.generateKeyPairSigner()).address;

// Slots come by themselves.
const slots = await rpcSubscriptions.slotNotifications().subscribe({ abortSignal: stop.signal });
for await (const told of slots) {
  saw.slot = told;
  break;
}
const roots = await rpcSubscriptions.rootNotifications().subscribe({ abortSignal: stop.signal });
for await (const root of roots) {
  saw.root = root;
  break;
}

saw.version = await rpc.getVersion().send();
saw.health = await rpc.getHealth().send();
saw.epoch = await rpc.getEpochInfo().send();
saw.genesis = await rpc.getGenesisHash().send();
saw.rent = await rpc.getMinimumBalanceForRentExemption(165n).send();

// Airdrop and its confirmation by signatureSubscribe.
const airdrop = kit.airdropFactory({ rpc, rpcSubscriptions });
await airdrop({ commitment: 'confirmed', lamports: kit.lamports(5_000_000_000n), recipientAddress: payer.address });
saw.funded = (await rpc.getBalance(payer.address, { commitment: 'confirmed' }).send()).value;

function transfer(lamports) {
  const data = new Uint8Array(12);
  const view = new DataView(data.buffer);
  view.setUint32(0, 2, true);
  view.setBigUint64(4, lamports, true);
  const accounts = [
    { address: payer.address, role: kit.AccountRole.WRITABLE_SIGNER, signer: payer },
    { address: recipient, role: kit.AccountRole.WRITABLE },
  ];
  return { accounts, data, programAddress: SYSTEM };
}

async function signed(lamports, version) {
  const { value: blockhash } = await rpc.getLatestBlockhash({ commitment: 'confirmed' }).send();
  const message = kit.pipe(
    kit.createTransactionMessage({ version }),
    (one) => kit.setTransactionMessageFeePayerSigner(payer, one),
    (one) => kit.setTransactionMessageLifetimeUsingBlockhash(blockhash, one),
    (one) => kit.appendTransactionMessageInstruction(transfer(lamports), one),
  );
  return await kit.signTransactionMessageWithSigners(message);
}

// Logs of what mentions the recipient. kit drops what comes before somebody iterates.
const logs = await rpcSubscriptions
  .logsNotifications({ mentions: [recipient] }, { commitment: 'confirmed' })
  .subscribe({ abortSignal: stop.signal });
const logged = logs[Symbol.asyncIterator]().next();

const sendAndConfirm = kit.sendAndConfirmTransactionFactory({ rpc, rpcSubscriptions });
const transaction = await signed(1_000_000_000n, 0);
await sendAndConfirm(transaction, { commitment: 'confirmed' });
const signature = kit.getSignatureFromTransaction(transaction);
saw.signature = signature;
saw.logs = (await logged).value.value;
saw.moved = (await rpc.getBalance(recipient, { commitment: 'confirmed' }).send()).value;
saw.statuses = (await rpc.getSignatureStatuses([signature]).send()).value;
saw.record = await rpc
  .getTransaction(signature, { commitment: 'confirmed', encoding: 'json', maxSupportedTransactionVersion: 0 })
  .send();
saw.parsed = await rpc
  .getTransaction(signature, { commitment: 'confirmed', encoding: 'jsonParsed', maxSupportedTransactionVersion: 0 })
  .send();
saw.history = await rpc.getSignaturesForAddress(recipient, { commitment: 'confirmed' }).send();
saw.fees = (await rpc.getRecentPrioritizationFees([recipient]).send()).length;
const wire = kit.getBase64EncodedWireTransaction(await signed(2_000_000_000n, 'legacy'));
saw.simulated = (
  await rpc.simulateTransaction(wire, { commitment: 'confirmed', encoding: 'base64', sigVerify: true }).send()
).value;

// Errors as typed by the client.
try {
  await sendAndConfirm(await signed(900_000_000_000n, 0), { commitment: 'confirmed' });
} catch (error) {
  saw.preflight = {
    known: kit.isSolanaError(error, kit.SOLANA_ERROR__JSON_RPC__SERVER_ERROR_SEND_TRANSACTION_PREFLIGHT_FAILURE),
    custom: kit.isSolanaError(error.cause, kit.SOLANA_ERROR__INSTRUCTION_ERROR__CUSTOM) && error.cause.context.code,
    logs: error.context.logs,
  };
}
try {
  await kit.createSolanaRpc(behind).getHealth().send();
} catch (error) {
  saw.unhealthy = {
    known: kit.isSolanaError(error, kit.SOLANA_ERROR__JSON_RPC__SERVER_ERROR_NODE_UNHEALTHY),
    numSlotsBehind: error.context.numSlotsBehind,
  };
}
try {
  await rpc.getMultipleAccounts(Array(101).fill(recipient)).send();
} catch (error) {
  saw.tooMany = {
    known: kit.isSolanaError(error, kit.SOLANA_ERROR__JSON_RPC__INVALID_PARAMS),
    message: error.context.__serverMessage,
  };
}

// Accounts of a program, by what their bytes hold.
saw.accounts = await rpc
  .getProgramAccounts(PYTH, {
    commitment: 'confirmed',
    encoding: 'base64',
    filters: [{ memcmp: { bytes: kit.getBase58Decoder().decode(new Uint8Array([0xd4, 0xc3, 0xb2, 0xa1])), encoding: 'base58', offset: 0n } }],
    dataSlice: { offset: 0, length: 4 },
    withContext: true,
  })
  .send();
saw.tokens = (
  await rpc
    .getTokenAccountsByOwner(PYTH, { programId: 'TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA' }, { encoding: 'jsonParsed' })
    .send()
).value;

// A live account: three changes, in order.
const price = saw.accounts.value[0].pubkey;
const changes = await rpcSubscriptions
  .accountNotifications(price, { commitment: 'confirmed', encoding: 'base64' })
  .subscribe({ abortSignal: stop.signal });
saw.changes = [];
for await (const told of changes) {
  saw.changes.push({ slot: told.context.slot, counter: Buffer.from(told.value.data[0], 'base64').readUInt32LE(4) });
  if (saw.changes.length === 3) break;
}
stop.abort();
process.stdout.write(
  `${JSON.stringify(saw, (_, value) => (typeof value === 'bigint' ? value.toString() : value))}\n`,
  () => process.exit(0),
);
