import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import type { PresignedRequest } from '../../src/modules/storage/object-storage.js';

/** A put that is sent as slowly as one likes. */
export function send(
  target: Pick<PresignedRequest, 'url' | 'method' | 'headers'>,
  sizeBytes: number,
): { write(bytes: Buffer): Promise<void>; end(): Promise<IncomingMessage> } {
  const upload = request(target.url, {
    method: target.method,
    headers: {
      ...Object.fromEntries(target.headers.map(({ name, value }) => [name, value])),
      'content-length': sizeBytes,
    },
  });
  const response = once(upload, 'response') as Promise<[IncomingMessage]>;
  return {
    write: async (bytes) => {
      if (!upload.write(bytes)) await Promise.race([once(upload, 'drain'), response]);
    },
    end: async () => {
      upload.end();
      const [message] = await response;
      message.resume();
      await once(message, 'end');
      return message;
    },
  };
}
