import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { statSync } from 'node:fs';
import { watch } from 'node:fs/promises';
import { join } from 'node:path';
import { root, setUp } from './setup.mjs';

const node = (...args) => spawn(process.execPath, args, { cwd: root, stdio: 'inherit' });
const launch = () => node('--enable-source-maps', 'dist/main.js');
/** Undefined while the newest source does not build. */
const builtAt = () => statSync(join(root, 'dist/.built'), { throwIfNoEntry: false })?.mtimeMs;

async function end(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  await once(child, 'exit');
}

/** Builds the server when something below src changed, and starts it anew; what does not build leaves the old one. */
async function develop() {
  const pages = node('node_modules/vite/bin/vite.js', 'build', 'web', '--watch', '--logLevel=warn');
  let server = launch();
  let launched = builtAt();
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.on(signal, async () => {
      await Promise.all([end(server), end(pages)]);
      process.exit(0);
    });
  }
  for await (const _ of watch(join(root, 'src'), { recursive: true })) {
    spawnSync(process.execPath, ['scripts/setup.mjs', '--server'], { cwd: root, stdio: 'inherit' });
    const built = builtAt();
    if (built === undefined || built === launched) continue;
    await end(server);
    server = launch();
    launched = built;
  }
}

if (process.argv.includes('--help')) {
  process.stdout.write(
    'npm run dev\n\nStarts Sluice as `npm start` does, and again whenever a file of src or web changes.\n',
  );
} else {
  setUp();
  await develop();
}
