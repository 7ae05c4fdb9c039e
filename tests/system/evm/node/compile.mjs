// Contracts to JSON: node compile.mjs CONTRACTS MODULES. Prints {NAME: {abi, creation, runtime}} of every contract, ours and
// two of Pyth's own.
// Any error or warning of the compiler in a source of CONTRACTS ends with 1.
import { readFileSync, readdirSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { createRequire } from 'node:module';

const [contracts, modules] = process.argv.slice(2);
const solc = createRequire(`${modules}/`)('solc');

const names = readdirSync(contracts).filter((name) => name.endsWith('.sol')).sort();
const sources = Object.fromEntries(names.map((name) => [name, { content: readFileSync(join(contracts, name), 'utf8') }]));
const pyths = ['MockPyth.sol', 'PythAggregatorV3.sol'].map((name) => `@pythnetwork/pyth-sdk-solidity/${name}`);
for (const path of pyths) sources[path] = { content: readFileSync(join(modules, 'node_modules', path), 'utf8') };

const input = {
  language: 'Solidity',
  sources,
  settings: {
    optimizer: { enabled: true, runs: 200 },
    evmVersion: 'cancun',
    outputSelection: { '*': { '*': ['abi', 'evm.bytecode.object', 'evm.deployedBytecode.object'] } },
  },
};
const find = (path) => {
  const file = join(modules, 'node_modules', path);
  return existsSync(file) ? { contents: readFileSync(file, 'utf8') } : { error: `not found: ${path}` };
};
const output = JSON.parse(solc.compile(JSON.stringify(input), { import: find }));
const told = (output.errors ?? []).filter((one) => one.severity === 'error' || names.includes(one.sourceLocation?.file));
if (told.length) {
  process.stderr.write(told.map((one) => one.formattedMessage).join('\n'));
  process.exit(1);
}
const made = {};
for (const file of [...names, ...pyths]) {
  for (const [name, one] of Object.entries(output.contracts[file])) {
    made[name] = { abi: one.abi, creation: one.evm.bytecode.object, runtime: one.evm.deployedBytecode.object };
  }
}
process.stdout.write(JSON.stringify(made));
