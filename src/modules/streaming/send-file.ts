import { closeSync, read as readCallback } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { promisify } from 'node:util';

const read = promisify(readCallback);

const LARGE_BYTES = 1024 * 1024;
const SMALL_BYTES = 64 * 1024;
/** However many viewers there are, large buffers are no more than these. */
const LARGE_BUFFERS = 64;

const free: Buffer[] = [];
let lent = 0;

/**
 * Sends a half-open range of a file as the body of an answer whose head is set, and closes the file. Node's streams take a new
 * buffer for every read, and having fresh memory costs more than the reading: here buffers are used again.
 *
 * @throws when the file ends before the range does: the connection is broken off then, so that no part passes for the whole
 */
export async function sendFile(file: number, start: number, end: number, response: ServerResponse): Promise<void> {
  const large = lent < LARGE_BUFFERS;
  if (large) lent++;
  let buffer = (large && free.pop()) || Buffer.allocUnsafeSlow(large ? LARGE_BYTES : SMALL_BYTES);
  try {
    for (let at = start; at < end; ) {
      const { bytesRead } = await read(file, buffer, 0, Math.min(buffer.length, end - at), at);
      if (bytesRead === 0) throw new Error(`${end - at} bytes of ${end - start} are missing`);
      at += bytesRead;
      if (!(await written(response, buffer.subarray(0, bytesRead)))) {
        // Broken off with the buffer still in somebody's hands: it is not used again.
        buffer = Buffer.alloc(0);
        return;
      }
    }
    response.end();
  } catch (error) {
    response.destroy();
    throw error;
  } finally {
    if (large) {
      lent--;
      if (buffer.length === LARGE_BYTES) free.push(buffer);
    }
    // Of a file that was only read, this waits for nothing; waking a thread to do it took longer.
    closeSync(file);
  }
}

/** Resolves once the bytes were handed to the system: true; or the client is gone: false. */
function written(response: ServerResponse, bytes: Buffer): Promise<boolean> {
  return new Promise((resolve) => {
    if (response.destroyed) return resolve(false);
    const gone = () => resolve(false);
    response.once('close', gone);
    response.write(bytes, (error) => {
      response.off('close', gone);
      resolve(!error);
    });
  });
}
