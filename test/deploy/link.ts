import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

export interface Link {
  readonly url: string;
  /** Bytes that came from clients so far. */
  readonly bytes: number;
  /** Cuts every connection and takes no more. */
  stop(): void;
}

/** A wire to a server, which counts what passes and can be cut. */
export async function startLink(to: string): Promise<Link> {
  const { hostname, port } = new URL(to);
  const sockets = new Set<Socket>();
  let bytes = 0;
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket);
      // The other end learns of it, which is all there is to do.
      socket.on('error', () => other.destroy());
      socket.once('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
    client.on('data', (chunk) => (bytes += chunk.length));
    client.pipe(upstream).pipe(client);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as { port: number }).port}`,
    get bytes() {
      return bytes;
    },
    stop: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
