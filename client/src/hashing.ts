/**
 * Both functions stand for themselves: a worker is made from their source text, and where a page may have no worker the
 * page runs the same. So nothing from outside of them is used in them, and SHA-256 is our own and not a library's.
 * WebCrypto is several times as fast, but takes all at once, and is there on secure pages alone.
 *
 * @param atOnce what WebCrypto is given at the most, in bytes
 * @returns SHA-256 in lower-case hexadecimal (FIPS 180-4, 6.2)
 */
export function hasher(atOnce = 16 * 1024 * 1024): (blob: Blob) => Promise<string> {
  const STEP = 1024 * 1024;
  const FIRST = new Uint32Array(8);
  const ROUNDS = new Uint32Array(64);
  const words = new Int32Array(64);
  /** The first 32 bits behind the point. */
  const fraction = (root: number) => (root % 1) * 2 ** 32;
  for (let count = 0, n = 2; count < 64; n++) {
    let divisor = 2;
    while (n % divisor) divisor++;
    if (divisor < n) continue;
    if (count < 8) FIRST[count] = fraction(n ** (1 / 2));
    ROUNDS[count++] = fraction(n ** (1 / 3));
  }
  const turned = (x: number, by: number) => (x >>> by) | (x << (32 - by));

  const take = (state: Uint32Array, bytes: Uint8Array<ArrayBuffer>) => {
    const view = new DataView(bytes.buffer);
    for (let at = 0; at < bytes.length; at += 64) {
      for (let i = 0; i < 16; i++) words[i] = view.getInt32(at + 4 * i);
      for (let i = 16; i < 64; i++) {
        const x = words[i - 15] as number;
        const y = words[i - 2] as number;
        const s0 = turned(x, 7) ^ turned(x, 18) ^ (x >>> 3);
        const s1 = turned(y, 17) ^ turned(y, 19) ^ (y >>> 10);
        words[i] = (words[i - 16] as number) + s0 + (words[i - 7] as number) + s1;
      }
      let [a, b, c, d, e, f, g, h] = state as unknown as [
        number,
        number,
        number,
        number,
        number,
        number,
        number,
        number,
      ];
      for (let i = 0; i < 64; i++) {
        const s1 = turned(e, 6) ^ turned(e, 11) ^ turned(e, 25);
        const one = (h + s1 + ((e & f) ^ (~e & g)) + (ROUNDS[i] as number) + (words[i] as number)) | 0;
        const s0 = turned(a, 2) ^ turned(a, 13) ^ turned(a, 22);
        const two = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
        h = g;
        g = f;
        f = e;
        e = (d + one) | 0;
        d = c;
        c = b;
        b = a;
        a = (one + two) | 0;
      }
      for (const [i, word] of [a, b, c, d, e, f, g, h].entries()) (state[i] as number) += word;
    }
  };
  const hex = (bytes: Uint8Array) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');

  return async (blob) => {
    if (blob.size <= atOnce && crypto.subtle) {
      return hex(new Uint8Array(await crypto.subtle.digest('SHA-256', await blob.arrayBuffer())));
    }
    const state = FIRST.slice();
    for (let at = 0; at <= blob.size; at += STEP) {
      let bytes = new Uint8Array(await blob.slice(at, at + STEP).arrayBuffer());
      if (at + STEP > blob.size) {
        const last = new Uint8Array(Math.ceil((bytes.length + 9) / 64) * 64);
        last.set(bytes);
        last[bytes.length] = 128;
        new DataView(last.buffer).setBigUint64(last.length - 8, BigInt(blob.size * 8));
        bytes = last;
      }
      take(state, bytes);
    }
    return Array.from(state, (word) => word.toString(16).padStart(8, '0')).join('');
  };
}

/** What the worker does: hashes, and ticks, because its timers go on in time while nobody sees the page. */
export function serve(digest: (blob: Blob) => Promise<string>): void {
  const timers = new Map<number, ReturnType<typeof setInterval>>();
  addEventListener('message', ({ data: { id, blob, ms } }: MessageEvent<{ id: number; blob?: Blob; ms?: number }>) => {
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
  });
}
