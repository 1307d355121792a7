import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { Transform } from 'node:stream';
import { until } from './client.js';

export interface Link {
  readonly url: string;
  /** Bytes that came from clients so far. */
  readonly bytes: number;
  /** How often every connection was cut. */
  readonly cuts: number;
  /** What it carries from clients now. It begins as it was opened. */
  bytesPerSecond: number;
  /** Cuts every connection whenever that many more bytes came from clients. */
  cutEveryBytes: number;
  /** Resolves when so many bytes have come from clients. */
  reached(bytes: number): Promise<unknown>;
  /** Turns one bit over in what comes from a client next. */
  flip(): void;
  /** Cuts every connection; new ones are taken. */
  cut(): void;
  /**
   * Nothing passes and nobody is told, until it is called off: the connections there are, and those that are opened meanwhile, hear
   * nothing for ever.
   */
  hole(): () => void;
  /** Cuts every connection and takes no more until the next start. */
  stop(): void;
  /** Takes connections again, at the same address. */
  start(): Promise<void>;
}

/**
 * A wire to a server, which counts what passes, carries as much as it is told and can be cut.
 * @param to asked at each connection, so that the server may come after the link
 */
export async function startLink(
  to: string | (() => string),
  { bytesPerSecond = Number.POSITIVE_INFINITY, cutEveryBytes = Number.POSITIVE_INFINITY } = {},
): Promise<Link> {
  const sockets = new Set<Socket>();
  let freeAt = 0;
  let sinceCut = 0;
  let isHole = false;
  let flips = false;
  const lost = new WeakSet<Socket>();
  const link = { url: '', bytes: 0, cuts: 0, bytesPerSecond, cutEveryBytes, reached, flip, cut, hole, stop, start };

  function reached(bytes: number): Promise<unknown> {
    return until(
      async () => link.bytes,
      (now) => now >= bytes,
      5,
    );
  }
  function flip(): void {
    flips = true;
  }

  function cut(): void {
    link.cuts++;
    sinceCut = 0;
    for (const socket of sockets) socket.destroy();
  }
  function hole(): () => void {
    isHole = true;
    for (const socket of sockets) {
      lost.add(socket);
      socket.unpipe();
    }
    return () => {
      isHole = false;
    };
  }
  function stop(): void {
    server.close();
    for (const socket of sockets) socket.destroy();
  }
  async function start(): Promise<void> {
    server.listen(Number(link.url.split(':')[2] ?? 0), '127.0.0.1');
    await once(server, 'listening');
  }
  const pass = (chunk: Buffer, done: () => void): void => {
    if (flips) {
      flips = false;
      const at = Math.floor(chunk.length / 2);
      chunk.writeUInt8(chunk.readUInt8(at) ^ 1, at);
    }
    link.bytes += chunk.length;
    sinceCut += chunk.length;
    if (sinceCut >= link.cutEveryBytes) {
      cut();
      return;
    }
    const now = performance.now();
    freeAt = Math.max(now, freeAt) + (chunk.length / link.bytesPerSecond) * 1000;
    if (freeAt > now) setTimeout(done, freeAt - now);
    else done();
  };

  const server = createServer((client) => {
    if (isHole) {
      sockets.add(client);
      client.on('error', () => sockets.delete(client));
      return;
    }
    const { hostname, port } = new URL(typeof to === 'string' ? to : to());
    const upstream = connect(Number(port), hostname);
    const wire = new Transform({ transform: (chunk, _, done) => pass(chunk, () => done(null, chunk)) });
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket);
      // The other end learns of it, unless nothing gets through.
      const end = () => lost.has(socket) || other.destroy();
      socket.on('error', end);
      socket.once('close', () => {
        sockets.delete(socket);
        end();
      });
    }
    client.pipe(wire).pipe(upstream).pipe(client);
  });
  await start();
  link.url = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
  return link;
}
