import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Bytes of buffers that something still holds: what only waits to be collected says nothing about a bound. */
export function heldBytes(): number {
  // The first only begins to give buffers back; the second waits for it.
  collect();
  collect();
  return process.memoryUsage().arrayBuffers;
}
