import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

/** A wire to a server that does to whoever uses it what bad links do. */
export interface BadLink {
  readonly url: string;
  /** Bytes that came from clients so far. */
  readonly bytes: number;
  /** Connections that were opened so far. */
  readonly connections: number;
  /** Resolves when so many bytes have come from clients. */
  reached(bytes: number): Promise<void>;
  /** Resets every connection. */
  cut(): void;
  /** Nothing passes and nobody is told, on no connection, until it is called off. */
  hole(): () => void;
  /** Resets every connection and refuses new ones until it is called off. */
  refuse(): Promise<() => Promise<void>>;
  /** Turns one bit over in what comes from a client next. */
  flip(): void;
  stop(): void;
}

/**
 * @param port where it listens
 * @param to the server's port
 * @param bytesPerSecond from clients, in all
 */
export async function startBadLink(port: number, to: number, bytesPerSecond = 4_000_000): Promise<BadLink> {
  const sockets = new Set<Socket>();
  const waiting: { bytes: number; resolve: () => void }[] = [];
  let bytes = 0;
  let connections = 0;
  let isHole = false;
  let flips = false;
  let freeAt = 0;
  let server: Server;

  const passLater = (from: Socket, towards: Socket, isFromClient: boolean) => {
    from.on('data', (chunk) => {
      from.pause();
      const now = performance.now();
      if (isFromClient) freeAt = Math.max(now, freeAt) + (chunk.length / bytesPerSecond) * 1000;
      setTimeout(
        () => {
          if (isHole) return;
          if (isFromClient) {
            bytes += chunk.length;
            if (flips) {
              flips = false;
              const at = Math.floor(chunk.length / 2);
              chunk.writeUInt8(chunk.readUInt8(at) ^ 1, at);
            }
            for (const one of waiting.filter((each) => each.bytes <= bytes)) one.resolve();
          }
          towards.write(chunk, () => from.resume());
        },
        isFromClient ? freeAt - now : 0,
      );
    });
  };
  const listen = async () => {
    server = createServer((client) => {
      connections++;
      sockets.add(client);
      // Who cannot get through is let in, and hears nothing for ever.
      if (isHole) {
        client.on('error', () => sockets.delete(client));
        return;
      }
      const upstream = connect(to, '127.0.0.1');
      for (const [socket, other] of [
        [client, upstream],
        [upstream, client],
      ] as const) {
        sockets.add(socket);
        // The other end learns of it, unless nothing gets through.
        socket.on('error', () => isHole || other.destroy());
        socket.once('close', () => {
          sockets.delete(socket);
          if (!isHole) other.destroy();
        });
      }
      passLater(client, upstream, true);
      passLater(upstream, client, false);
    }).listen(port, '127.0.0.1');
    await once(server, 'listening');
  };
  const cut = () => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  await listen();
  return {
    url: `http://127.0.0.1:${port}`,
    get bytes() {
      return bytes;
    },
    get connections() {
      return connections;
    },
    reached: (wanted) =>
      new Promise((resolve) => {
        waiting.push({ bytes: wanted, resolve });
        if (wanted <= bytes) resolve();
      }),
    cut,
    hole: () => {
      isHole = true;
      return () => {
        isHole = false;
      };
    },
    refuse: async () => {
      server.close();
      cut();
      await once(server, 'close');
      return listen;
    },
    flip: () => {
      flips = true;
    },
    stop: () => {
      server.close();
      cut();
    },
  };
}
