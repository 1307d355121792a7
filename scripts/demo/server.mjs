import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { holderOf } from '../../dist/embedded/index.js';
import { root } from '../setup.mjs';

const READY_MS = 60_000;

/**
 * The server of `settings.dataDir`: the one that runs there already, or the built one as a process of its own, whose log
 * is DATA_DIR/demo/server.log.
 */
export async function ensureServer(settings) {
  const holder = await holderOf(settings.dataDir);
  if (holder) {
    process.stderr.write(`Using the Sluice that runs on ${settings.dataDir} already (process id ${holder.pid}).\n`);
    return { url: holder.url, isOwn: false, stop: async () => 0, ended: new Promise(() => undefined) };
  }
  // The default port may be somebody else's.
  const isFree = process.env.PORT || (await canListen(settings.port, settings.host));
  const port = isFree ? settings.port : await freePort(settings.host);
  const url = process.env.PUBLIC_URL ? settings.publicUrl : `http://localhost:${port}`;

  const logFile = join(settings.dataDir, 'demo/server.log');
  await mkdir(join(settings.dataDir, 'demo'), { recursive: true });
  const log = await open(logFile, 'w', 0o600);
  const child = spawn(process.execPath, ['--enable-source-maps', join(root, 'dist/main.js')], {
    env: { NODE_ENV: 'production', ...process.env, PORT: String(port), PUBLIC_URL: url },
    stdio: ['ignore', log.fd, log.fd],
  });
  await log.close();
  const ended = once(child, 'exit').then(([code]) => code);
  const local = `http://127.0.0.1:${port}/readyz`;
  for (const deadline = Date.now() + READY_MS; !(await answers(local)); await pause(50)) {
    if (child.exitCode !== null || Date.now() > deadline) {
      child.kill();
      throw new Error(
        `The server does not start. The end of ${logFile}:\n${(await readFile(logFile, 'utf8')).slice(-2000)}`,
      );
    }
  }
  const stop = () => {
    child.kill('SIGTERM');
    return ended;
  };
  return { url, isOwn: true, stop, ended };
}

const answers = (url) =>
  fetch(url, { signal: AbortSignal.timeout(2000) }).then(
    (response) => response.ok,
    () => false,
  );

async function listenOn(port, host) {
  const probe = createServer().listen(port, host);
  await once(probe, 'listening');
  const { port: given } = probe.address();
  probe.close();
  await once(probe, 'close');
  return given;
}

const canListen = (port, host) =>
  listenOn(port, host).then(
    () => true,
    () => false,
  );
const freePort = (host) => listenOn(0, host);
