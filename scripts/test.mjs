import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { root, setUp } from './setup.mjs';

if (process.argv.includes('--help')) {
  process.stdout.write(`npm test [-- PATH…] [-- OPTIONS of jest]

Runs every test that needs no further server, on a PostgreSQL and a Redis of its own.

  npm test -- test/integration/embedded     one file
  npm test -- -t 'takes over the lock'      by name
`);
} else {
  setUp({ forTests: true });
  const jest = spawn(process.execPath, [join(root, 'node_modules/jest/bin/jest.js'), ...process.argv.slice(2)], {
    cwd: root,
    stdio: 'inherit',
  });
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => jest.kill(signal));
  jest.on('exit', (code, signal) => process.exit(signal ? 1 : code));
}
