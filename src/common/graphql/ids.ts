import { NotFound } from '../errors/index.js';

const UUID = '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}';
const WHOLE_UUID = new RegExp(`^${UUID}$`);
const GLOBAL_ID = new RegExp(`^([A-Z][A-Za-z0-9]{0,63}):(${UUID})$`);

export const isUuid = (text: string): boolean => WHOLE_UUID.test(text);

/** The opaque id of a thing across all types: base64url of `Type:uuid` (Relay's global object identification). */
export function encodeId(type: string, uuid: string): string {
  return Buffer.from(`${type}:${uuid}`).toString('base64url');
}

/** Null for whatever `encodeId` did not make: ids come from outside and reach SQL as they are decoded here. */
export function parseId(globalId: string): { type: string; uuid: string } | null {
  if (typeof globalId !== 'string' || globalId.length > 200) return null;
  const [, type, uuid] = GLOBAL_ID.exec(Buffer.from(globalId, 'base64url').toString('latin1')) ?? [];
  // Decoding forgives stray characters; the id that was handed out is the only one that counts.
  if (!type || !uuid || encodeId(type, uuid) !== globalId) return null;
  return { type, uuid };
}

/**
 * @param field the path of the input that holds the id, for the error
 * @returns the UUID
 * @throws NotFound when it is not an id, or the id of something else: the same answer as for an id of nothing
 */
export function decodeId(type: string, globalId: string, field?: string[]): string {
  const id = parseId(globalId);
  if (id?.type !== type) throw new NotFound(type.replace(/(?<=[a-z])(?=[A-Z])/g, ' ').toLowerCase(), field);
  return id.uuid;
}
