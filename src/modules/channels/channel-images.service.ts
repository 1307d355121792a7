import { randomUUID } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import type { Actor } from '../../common/access/index.js';
import { CONFIG, type Config } from '../../common/config/index.js';
import { Database, type Tx } from '../../common/database/index.js';
import { NotFound } from '../../common/errors/index.js';
import { Jobs } from '../../common/jobs/index.js';
import { Live } from '../../common/live/index.js';
import { MAX_PIXELS, readImage } from '../media/index.js';
import { ObjectStorage, StoredObjects } from '../storage/index.js';
import { dropImages, type ImageKind } from './channel-image-rows.js';
import { ImageSize, ImageUnreadable, NotAnEditor } from './channels.errors.js';
import { MakeChannelImage } from './channels.jobs.js';
import { canManage } from './channels.policy.js';
import { ChannelsService } from './channels.service.js';

export const IMAGES_PATH = '/images';
/** Smaller ones would have a side of nothing once they are cut. */
const LEAST_SIDE = 32;
/** Ticks hasten, and may be lost. */
const POLL_MS = 500;

export const imageTopic = (imageId: string): string => `channel-image:${imageId}`;

/** GONE: another one, or none, was asked for meanwhile. */
export type ImageState = 'SHOWN' | 'PENDING' | 'FAILED' | 'GONE';

/** What a channel shows of itself. A worker makes the pictures: nothing that strangers send is decoded here. */
@Injectable()
export class ChannelImages {
  constructor(
    private readonly db: Database,
    private readonly jobs: Jobs,
    private readonly live: Live,
    private readonly storage: ObjectStorage,
    private readonly objects: StoredObjects,
    private readonly channels: ChannelsService,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /** Before anything of the body is read. @throws NotFound, NotAnEditor */
  async checkEditor(actor: Actor, channelId: string): Promise<void> {
    if (!(await this.channels.byId(channelId))) throw new NotFound('channel', ['channelId']);
    if (!canManage(actor, await this.channels.roleOf(actor.userId, channelId))) throw new NotAnEditor();
  }

  /**
   * Takes a file that is to be shown once it is made; one that waits already is given up.
   * @returns the image's id
   * @throws ImageUnreadable, ImageSize, NotFound, NotAnEditor
   */
  async take(actor: Actor, channelId: string, kind: ImageKind, bytes: Buffer): Promise<string> {
    const image = readImage(bytes);
    if (!image) throw new ImageUnreadable();
    const { width, height } = image;
    if (width * height > MAX_PIXELS || Math.min(width, height) < LEAST_SIDE)
      throw new ImageSize(LEAST_SIDE, MAX_PIXELS);
    const id = randomUUID();
    const key = `channel-images/${channelId}/${id}/source`;
    const { sizeBytes } = await this.objects.write(key, bytes);
    await this.db.tx(async (tx) => {
      await this.lockForEditor(tx, actor, channelId);
      await dropImages(tx, this.objects, channelId, kind, 'next');
      const kept = await this.objects.keep(tx, [{ key, sizeBytes }]);
      if (kept.length !== 1) throw new Error(`${key} was given up before it was named.`);
      await tx.query('INSERT INTO channel_image (id, channel_id, kind, source_key) VALUES ($1, $2, $3, $4)', [
        id,
        channelId,
        kind,
        key,
      ]);
      await this.jobs.enqueue(tx, MakeChannelImage, { imageId: id }, { dedupeKey: `image:${id}` });
    });
    return id;
  }

  /** Shows none any more, and makes none that waits. @throws NotFound, NotAnEditor */
  async remove(actor: Actor, channelId: string, kind: ImageKind): Promise<void> {
    await this.db.tx(async (tx) => {
      await this.lockForEditor(tx, actor, channelId);
      await dropImages(tx, this.objects, channelId, kind, 'all');
    });
  }

  /** Waits until it is made, for so long; PENDING: it takes longer. */
  async settled(imageId: string, patienceMs: number, signal: AbortSignal): Promise<ImageState> {
    const until = performance.now() + patienceMs;
    for (;;) {
      const done = new AbortController();
      try {
        const left = until - performance.now();
        const over = AbortSignal.any([signal, done.signal]);
        const tick = this.live.waitFor(imageTopic(imageId), Math.max(0, Math.min(POLL_MS, left)), over);
        const state = await this.state(imageId);
        if (state !== 'PENDING' || left <= 0 || signal.aborted) return state;
        await tick;
      } finally {
        done.abort();
      }
    }
  }

  private async state(imageId: string): Promise<ImageState> {
    const [row] = await this.db.query<{ state: ImageState }>(
      `SELECT CASE WHEN object_key IS NOT NULL THEN 'SHOWN' WHEN source_key IS NOT NULL THEN 'PENDING' ELSE 'FAILED' END AS state
       FROM channel_image WHERE id = $1`,
      [imageId],
    );
    return row?.state ?? 'GONE';
  }

  /** Its bytes never change. Null when it is not there, or no more. */
  async read(imageId: string): Promise<{ sizeBytes: number; open(): ReturnType<ObjectStorage['read']> } | null> {
    const [row] = await this.db.query<{ key: string; sizeBytes: number }>(
      'SELECT object_key AS key, size_bytes AS "sizeBytes" FROM channel_image WHERE id = $1 AND object_key IS NOT NULL',
      [imageId],
    );
    return row ? { sizeBytes: row.sizeBytes, open: () => this.storage.read(row.key) } : null;
  }

  urlOf(imageId: string): string {
    return `${this.config.publicUrl}${IMAGES_PATH}/${imageId}.jpg`;
  }

  /** Of channels that show none there is none. */
  async urlsOf(channelIds: readonly string[]): Promise<Map<string, Partial<Record<ImageKind, string>>>> {
    const rows = await this.db.query<{ id: string; channelId: string; kind: ImageKind }>(
      `SELECT id, channel_id AS "channelId", kind FROM channel_image
       WHERE channel_id = ANY($1::uuid[]) AND object_key IS NOT NULL`,
      [channelIds],
    );
    const urls = new Map<string, Partial<Record<ImageKind, string>>>();
    for (const { id, channelId, kind } of rows) {
      urls.set(channelId, { ...urls.get(channelId), [kind]: this.urlOf(id) });
    }
    return urls;
  }

  /** Whoever changes images waits for who does so already, and is asked again who he is. @throws NotFound, NotAnEditor */
  private async lockForEditor(tx: Tx, actor: Actor, channelId: string): Promise<void> {
    const rows = await tx.query('SELECT id FROM channel WHERE id = $1 AND deleted_at IS NULL FOR NO KEY UPDATE', [
      channelId,
    ]);
    if (rows.length === 0) throw new NotFound('channel', ['channelId']);
    const role = (await this.channels.rolesOf(actor.userId, [channelId], tx)).get(channelId) ?? null;
    if (!canManage(actor, role)) throw new NotAnEditor();
  }
}
