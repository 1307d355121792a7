import { mkdir } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { secretIn } from './secrets.js';
import { type EmbeddedServer, portOf, runServer } from './server.js';

/**
 * The `redis-server` of PATH on `dir`, for this machine alone and with a password, since other users of the machine can
 * reach a loopback port. Durable: an append-only file, written to disk every second (Postgres holds all truth).
 */
export async function startRedis({ dir, durable }: { dir: string; durable: boolean }): Promise<EmbeddedServer> {
  const data = join(dir, 'data');
  await mkdir(data, { recursive: true, mode: 0o700 });
  const password = await secretIn(join(dir, 'password'));
  const { port, stop } = await runServer({
    name: 'Redis',
    dir,
    command: 'redis-server',
    args: () => ['-'],
    input: (port) =>
      [
        'bind 127.0.0.1',
        `port ${port}`,
        `requirepass ${password}`,
        `dir "${data}"`,
        'save ""',
        `appendonly ${durable ? 'yes' : 'no'}`,
        'appendfsync everysec',
        'maxmemory-policy noeviction',
        // Who saw a video in an hour is a large set: nobody waits for it to be freed.
        'lazyfree-lazy-expire yes',
        '',
      ].join('\n'),
    signals: ['SIGTERM', 'SIGKILL'],
    isReady: (port) => answersPing(port, password),
  }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    throw new Error('redis-server is not installed here: install it, or set REDIS_URL.');
  });
  return { url: urlOf(password, port), stop };
}

/** Where the Redis answers that another process runs on `dir`. */
export async function joinRedis(dir: string): Promise<string> {
  return urlOf(await secretIn(join(dir, 'password')), await portOf(dir));
}

const urlOf = (password: string, port: number) => `redis://:${password}@127.0.0.1:${port}/0`;

/** While it loads its file, Redis answers with LOADING. */
function answersPing(port: number, password: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(`AUTH ${password}\r\nPING\r\n`));
    let answer = '';
    socket.setTimeout(1000, () => socket.destroy());
    socket.on('data', (bytes) => {
      answer += bytes;
      if (answer.split('\r\n').length > 2) socket.destroy();
    });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => resolve(answer.includes('+PONG')));
  });
}
