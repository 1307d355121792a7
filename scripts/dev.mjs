import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { root, setUp } from './setup.mjs';

if (process.argv.includes('--help')) {
  process.stdout.write(
    'npm run dev\n\nStarts Sluice as `npm start` does, and again whenever a file of src or web changes.\n',
  );
} else {
  setUp();
  const bin = (path) => join(root, 'node_modules', path);
  const children = [
    [bin('@nestjs/cli/bin/nest.js'), 'start', '--watch', '--preserveWatchOutput'],
    [bin('vite/bin/vite.js'), 'build', 'web', '--watch', '--logLevel=warn'],
  ].map((args) => spawn(process.execPath, args, { cwd: root, stdio: 'inherit' }));
  // Ctrl-C reaches them as well, since they are in this process group; when one ends, so does the other.
  const end = (signal) => {
    for (const child of children) child.kill(signal);
  };
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => end(signal));
  for (const child of children) child.on('exit', () => end('SIGTERM'));
}
