import { spawn } from 'node:child_process';
import { root, setUp } from './setup.mjs';

setUp();
const bench = spawn(
  process.execPath,
  ['--import', './bench/typescript.mjs', 'bench/bench.ts', ...process.argv.slice(2)],
  {
    cwd: root,
    stdio: 'inherit',
  },
);
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => bench.kill(signal));
bench.on('exit', (code) => process.exit(code ?? 1));
