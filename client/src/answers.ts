import type { Snapshot } from './ledger.js';
import type { Reason } from './link.js';
import type { Answer } from './platform.js';

/** JSON, or null: proxies, portals and other servers answer what they like. */
export function jsonOf<T>(body: string): T | null {
  try {
    return JSON.parse(body) as T;
  } catch {
    return null;
  }
}

/** What the server refuses it says with a code; what has none was said by somebody before it. */
export function refusalOf({ body }: Answer): Reason | null {
  const said = jsonOf<Partial<Reason>>(body);
  return typeof said?.code === 'string' ? { code: said.code, message: String(said.message) } : null;
}

/** The answer of a look; null when it is somebody else's. */
export function snapshotOf({ status, body }: Answer): Snapshot | null {
  const snapshot = status === 200 ? jsonOf<Partial<Snapshot>>(body) : null;
  return Array.isArray(snapshot?.covered) && Array.isArray(snapshot.writers) ? (snapshot as Snapshot) : null;
}

/** For people, of an answer that is not the server's. */
export const foreign = (status: number): Reason => ({
  code: 'PROTOCOL',
  message: `What answered there is no Sluice: status ${status}.`,
});
