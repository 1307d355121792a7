import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { Inject, Injectable } from '@nestjs/common';
import { CONFIG, type Config } from '../../common/config/index.js';
import { Database } from '../../common/database/index.js';
import { HandlesJob, type JobContext } from '../../common/jobs/index.js';
import { Live } from '../../common/live/index.js';
import { IMAGE_OUTPUT, imageArguments, MediaEngine, MediaRunError, readImage } from '../media/index.js';
import { ObjectStorage, StoredObjects } from '../storage/index.js';
import { dropImages, type ImageKind } from './channel-image-rows.js';
import { imageTopic } from './channel-images.service.js';
import { MakeChannelImage } from './channels.jobs.js';

const MiB = 1024 * 1024;
/** In pixels: what pages show at most, at twice their density. */
const SIZES: Record<ImageKind, { width: number; height: number }> = {
  AVATAR: { width: 400, height: 400 },
  BANNER: { width: 1600, height: 400 },
};
const LIMITS = { timeoutMs: 30_000, stallMs: 30_000, memoryBytes: 1200 * MiB, maxFileBytes: 4 * MiB };
/** What ends a run as often is the file's doing. */
const MAX_ATTEMPTS = 3;
/** The sandbox's account may pass through; nobody can look around. */
const PASSABLE = 0o711;

interface Waiting {
  readonly channelId: string;
  readonly kind: ImageKind;
  readonly sourceKey: string;
}
const WAITING = `SELECT channel_id AS "channelId", kind, source_key AS "sourceKey" FROM channel_image
  WHERE id = $1 AND source_key IS NOT NULL`;

/** Decodes a stranger's picture, in the media sandbox and nowhere else, and writes it anew. */
@Injectable()
export class MakeChannelImageJob {
  constructor(
    private readonly db: Database,
    private readonly live: Live,
    private readonly engine: MediaEngine,
    private readonly storage: ObjectStorage,
    private readonly objects: StoredObjects,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  @HandlesJob(MakeChannelImage)
  async handle({ imageId }: { imageId: string }, context: JobContext): Promise<void> {
    const [waiting] = await this.db.query<Waiting>(WAITING, [imageId]);
    if (!waiting) return;
    const { channelId, kind, sourceKey } = waiting;
    const source = await buffer(await this.storage.read(sourceKey, undefined, context.signal));
    const picture = await this.make(source, kind, context);
    const key = `channel-images/${channelId}/${imageId}/${context.lease}.jpg`;
    if (picture) await this.objects.write(key, picture, { sizeBytes: picture.length, signal: context.signal });
    await this.db.tx(async (tx) => {
      await tx.query('SELECT id FROM channel WHERE id = $1 FOR NO KEY UPDATE', [channelId]);
      // Replaced, taken back or deleted meanwhile: what was written goes after its grace.
      if ((await tx.query(WAITING, [imageId])).length === 0) return;
      if (picture) {
        await dropImages(tx, this.objects, channelId, kind, 'shown');
        const kept = await this.objects.keep(tx, [{ key, sizeBytes: picture.length }]);
        if (kept.length !== 1) throw new Error(`${key} was given up before it was named.`);
      }
      await tx.query('UPDATE channel_image SET source_key = NULL, object_key = $2, size_bytes = $3 WHERE id = $1', [
        imageId,
        picture && key,
        picture?.length ?? null,
      ]);
      await this.objects.drop(tx, [sourceKey]);
      tx.afterCommit(() => this.live.tick(imageTopic(imageId)));
    });
  }

  /** Null where nothing can be made of it. */
  private async make(source: Buffer, kind: ImageKind, { attempt, signal }: JobContext): Promise<Buffer | null> {
    const image = readImage(source);
    if (!image) return null;
    const scratch = join(this.config.dataDir, 'scratch');
    await mkdir(scratch, { recursive: true, mode: PASSABLE });
    const workDir = await mkdtemp(join(scratch, 'image-'));
    try {
      await chmod(workDir, PASSABLE);
      const path = join(workDir, 'source');
      await writeFile(path, image.bytes);
      await this.engine.run({ command: imageArguments(path, image, SIZES[kind]), workDir, signal, ...LIMITS });
      return await readFile(join(workDir, IMAGE_OUTPUT));
    } catch (error) {
      const isRun = error instanceof MediaRunError && error.failure !== 'aborted' && error.failure !== 'start';
      const nothingCame = (error as NodeJS.ErrnoException).code === 'ENOENT';
      if (nothingCame || (isRun && (error.gaveUp || (attempt >= MAX_ATTEMPTS && !error.isFullDisk)))) return null;
      throw error;
    } finally {
      await rm(workDir, { recursive: true, force: true });
    }
  }
}
