import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex } from '@noble/hashes/utils.js';

/** WebCrypto is several times as fast, but takes all at once, and is there on secure pages alone. */
const AT_ONCE = 16 * 1024 * 1024;
const STEP = 1024 * 1024;

async function digestOf(blob: Blob): Promise<string> {
  if (blob.size <= AT_ONCE && crypto.subtle) {
    return bytesToHex(new Uint8Array(await crypto.subtle.digest('SHA-256', await blob.arrayBuffer())));
  }
  const hash = sha256.create();
  for (let at = 0; at < blob.size; at += STEP) {
    hash.update(new Uint8Array(await blob.slice(at, at + STEP).arrayBuffer()));
  }
  return bytesToHex(hash.digest());
}

addEventListener('message', ({ data: { id, blob } }: MessageEvent<{ id: number; blob: Blob }>) => {
  digestOf(blob).then(
    (hex) => postMessage({ id, hex }),
    ({ name, message }: Error) => postMessage({ id, name, message }),
  );
});
