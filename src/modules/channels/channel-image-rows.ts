import type { Tx } from '../../common/database/index.js';
import type { StoredObjects } from '../storage/index.js';

export const IMAGE_KINDS = ['AVATAR', 'BANNER'] as const;
export type ImageKind = (typeof IMAGE_KINDS)[number];

/** Shown images; those that wait, with that of which nothing could be made; all. */
export type WhichImages = 'shown' | 'next' | 'all';
const WHICH: Record<WhichImages, string> = { shown: 'object_key IS NOT NULL', next: 'object_key IS NULL', all: 'true' };

/** Forgets images of a channel, whose row the transaction has locked, and gives their objects up. @param kind null: both */
export async function dropImages(
  tx: Tx,
  objects: StoredObjects,
  channelId: string,
  kind: ImageKind | null,
  which: WhichImages,
): Promise<void> {
  const rows = await tx.query<{ key: string | null }>(
    `DELETE FROM channel_image WHERE channel_id = $1 AND ($2::text IS NULL OR kind = $2) AND ${WHICH[which]}
     RETURNING coalesce(source_key, object_key) AS key`,
    [channelId, kind],
  );
  const keys = rows.flatMap(({ key }) => (key === null ? [] : [key]));
  if (keys.length > 0) await objects.drop(tx, keys);
}
