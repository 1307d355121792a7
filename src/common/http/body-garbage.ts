import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** As many bytes of bodies are read between two collections. */
const BETWEEN_BYTES = 16 * 1024 * 1024;

setFlagsFromString('--expose-gc');
const collect: (options: { type: 'minor' }) => void = runInNewContext('gc');

let since = 0;

/**
 * To be told of each buffer of a body, or of files as large as bodies, that was read. Node gives every one fresh memory outside of V8's heap. They die young, but
 * V8 answers such memory with collections of the whole heap, the application's 100 MB among it: half of what an upload
 * cost. A collection of the young alone, in time, costs a millisecond and spares those.
 */
export function noteBodyBytes(bytes: number): void {
  since += bytes;
  if (since < BETWEEN_BYTES) return;
  since = 0;
  collect({ type: 'minor' });
}
