/* What tus 1.0 says about headers (https://tus.io/protocols/resumable-upload). Pure. */

export const TUS_VERSION = '1.0.0';
export const TUS_EXTENSIONS = 'creation,creation-with-upload,termination,expiration,checksum';
export const CHECKSUM_ALGORITHMS = ['sha256', 'sha1', 'md5'] as const;
/** A checked request counts only as a whole, so what it holds is bounded. */
export const MAX_CHECKED_BYTES = 100_000_000;
/** tus' own extension of HTTP: the bytes do not have the checksum that was sent with them. */
export const CHECKSUM_MISMATCH = 460;

const MAX_METADATA = 16 * 1024;

/** A count of bytes, as tus spells one; null for anything else. */
export function bytesOf(header: string | undefined): number | null {
  if (header === undefined || !/^\d{1,15}$/.test(header)) return null;
  return Number(header);
}

/** `key base64,key base64,key`. Null where it is not that, or not UTF-8, or has a key twice or a NUL. */
export function metadataOf(header: string | undefined): Map<string, string> | null {
  const values = new Map<string, string>();
  if (header === undefined || header.trim() === '') return values;
  if (header.length > MAX_METADATA) return null;
  for (const pair of header.split(',')) {
    const [, key = '', value = ''] = /^\s*([^\s,]+)(?:\s+([A-Za-z0-9+/]*={0,2}))?\s*$/.exec(pair) ?? [];
    if (key === '' || values.has(key)) return null;
    try {
      const text = new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(value, 'base64'));
      if (text.includes('\0')) return null;
      values.set(key, text);
    } catch {
      return null;
    }
  }
  return values;
}

export interface Checksum {
  algorithm: (typeof CHECKSUM_ALGORITHMS)[number];
  /** Lower-case hexadecimal. */
  digest: string;
}

const DIGEST_BYTES = { sha256: 32, sha1: 20, md5: 16 } as const;

/** `sha256 base64`. Null for an algorithm that is not offered, or a digest of another length. */
export function checksumOf(header: string): Checksum | null {
  const [, name, digest = ''] = /^(\w+) ([A-Za-z0-9+/]+={0,2})$/.exec(header) ?? [];
  const algorithm = CHECKSUM_ALGORITHMS.find((one) => one === name);
  const bytes = Buffer.from(digest, 'base64');
  return algorithm && bytes.length === DIGEST_BYTES[algorithm] ? { algorithm, digest: bytes.toString('hex') } : null;
}
