import { createSocket } from 'node:dgram';
import { once } from 'node:events';

export interface NameServer {
  /** As resolvers want it: `127.0.0.1:PORT`. */
  readonly address: string;
  /** IPv4 addresses of every name, from now on. */
  addresses: string[];
  stop(): Promise<void>;
}

/** A name server of this machine's, over UDP, that says of every name what it is told to say (RFC 1035). */
export async function startNameServer(): Promise<NameServer> {
  const socket = createSocket('udp4');
  const server: NameServer = {
    get address() {
      return `127.0.0.1:${socket.address().port}`;
    },
    addresses: [],
    stop: async () => {
      socket.close();
      await once(socket, 'close');
    },
  };
  socket.on('message', (asked, from) => {
    // The name ends with an empty label; type and class follow it.
    const end = asked.indexOf(0, 12) + 5;
    const isIpv4 = asked.readUInt16BE(end - 4) === 1;
    const records = (isIpv4 ? server.addresses : []).map((address) =>
      Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, ...address.split('.').map(Number)]),
    );
    const head = Buffer.from([asked[0] ?? 0, asked[1] ?? 0, 0x81, 0x80, 0, 1, 0, records.length, 0, 0, 0, 0]);
    socket.send(Buffer.concat([head, asked.subarray(12, end), ...records]), from.port, from.address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return server;
}
