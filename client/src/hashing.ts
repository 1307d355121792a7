import { SHA256 } from '@stablelib/sha256';

const STEP = 1024 * 1024;

/** As it is built (client/vite.config.ts) its text stands for itself, library and all: a worker is made from it. */
export function hashing() {
  const hex = (bytes: Uint8Array) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');

  /**
   * WebCrypto is several times as fast as the library, but takes all at once, and is there on secure pages alone.
   *
   * @param atOnce what WebCrypto is given at the most, in bytes
   * @returns SHA-256 in lower-case hexadecimal
   */
  async function digest(blob: Blob, atOnce = 16 * STEP): Promise<string> {
    if (blob.size <= atOnce && crypto.subtle) {
      return hex(new Uint8Array(await crypto.subtle.digest('SHA-256', await blob.arrayBuffer())));
    }
    const hash = new SHA256();
    // Each step waits for its bytes: where this runs on a page, the page goes on in between.
    for (let at = 0; at < blob.size; at += STEP) {
      hash.update(new Uint8Array(await blob.slice(at, at + STEP).arrayBuffer()));
    }
    return hex(hash.digest());
  }

  /** What the worker does: hashes, and ticks, because its timers go on in time while nobody sees the page. */
  function serve(): void {
    const timers = new Map<number, ReturnType<typeof setInterval>>();
    addEventListener(
      'message',
      ({ data: { id, blob, ms } }: MessageEvent<{ id: number; blob?: Blob; ms?: number }>) => {
        if (blob) {
          digest(blob).then(
            (hex) => postMessage({ id, hex }),
            ({ name, message }: Error) => postMessage({ id, name, message }),
          );
          return;
        }
        clearInterval(timers.get(id));
        if (ms)
          timers.set(
            id,
            setInterval(() => postMessage({ id }), ms),
          );
      },
    );
  }

  return { digest, serve };
}
