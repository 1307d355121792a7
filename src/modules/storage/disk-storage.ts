import { createHash, randomUUID } from 'node:crypto';
import { open as openCallback, readdirSync } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rename, rm, rmdir, stat, unlink } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { addAbortSignal, Readable } from 'node:stream';
import { promisify } from 'node:util';
import { type ReceivedPut, type Refusal, refusalOf, signPut } from './disk-signature.js';
import { assertIncomingKey, assertKeyPrefix, assertObjectKey } from './object-key.js';
import {
  type ByteRange,
  type ObjectPart,
  ObjectStorage,
  PRESIGNED_SECONDS,
  type PresignedRequest,
  type PutOptions,
  type StoredBytes,
} from './object-storage.js';
import {
  DigestMismatch,
  ObjectExists,
  ObjectMissing,
  RangeNotSatisfiable,
  SizeMismatch,
  StorageFull,
} from './storage.errors.js';

const openDescriptor = promisify(openCallback) as (path: string) => Promise<number>;

/** A name that no segment of a key has, so that `a` and `a/b` can both be objects. */
const LEAF = '@';
/** Digests of objects that were opened: some hundred bytes each. */
const DIGESTS_KEPT = 10_000;
/** As much as is read at once: with Node's 64 KiB the turns between its threads cost more than the bytes. */
const READ_BYTES = 256 * 1024;
/** As much is written at once, for the same reason. */
const WRITE_BYTES = 256 * 1024;
/** What objects are put together with; not less than `WRITE_BYTES`, which is written before more is asked for. */
const BLOCK_BYTES = 1024 * 1024;
const DIGEST = /^[0-9a-f]{64}$/;
const DIRECTORY_ENTRY = /^[a-z0-9_-][a-z0-9_.-]*@?$/;
/** No live put leaves its scratch folder untouched for as long. */
const ABANDONED_MS = 60 * 60 * 1000;

export interface DiskStorageOptions {
  /** Folder for `objects/` and `scratch/`; both on one file system. */
  root: string;
  /** Where clients reach this application, without a slash at its end. */
  publicUrl: string;
  signingSecret: string;
}

/**
 * Objects as files: `objects/<key>@/<sha256 of the bytes>`. The digest is the file's name, so it is there as soon as the
 * object is and cannot drift from it; the folder around it is what rename(2) makes once-only, since it replaces no folder
 * that has something in it. docs/decisions/disk-storage.md has the reasons.
 */
export class DiskStorage extends ObjectStorage {
  private readonly objects: string;
  private readonly scratch: string;
  private readonly digests = new Map<string, string>();

  constructor(private readonly options: DiskStorageOptions) {
    super();
    this.objects = resolve(options.root, 'objects');
    this.scratch = resolve(options.root, 'scratch');
  }

  /** Makes the folders, and removes what puts of crashed processes left. To be awaited before anything else. */
  async prepare(): Promise<void> {
    // DATA_DIR lets others pass through; what people keep private is no business of the machine's other users.
    await mkdir(this.objects, { recursive: true, mode: 0o700 });
    await mkdir(this.scratch, { recursive: true, mode: 0o700 });
    for (const name of await readdir(this.scratch)) {
      const path = join(this.scratch, name);
      if (await isAbandoned(path, name)) await rm(path, { recursive: true, force: true });
    }
  }

  override async put(key: string, body: Readable | Buffer, options: PutOptions = {}): Promise<StoredBytes> {
    if (Buffer.isBuffer(body)) return this.receive(key, [body], options);
    // An error before the first read has no listener yet; reading then throws that same error.
    body.once('error', () => undefined);
    if (options.signal) addAbortSignal(options.signal, body);
    try {
      return await this.receive(key, body, options);
    } finally {
      body.destroy();
    }
  }

  override compose(key: string, parts: readonly ObjectPart[], options: PutOptions = {}): Promise<StoredBytes> {
    return this.receive(key, this.blocks(parts, options.signal), options);
  }

  /** `put` for whoever reads the body himself, and wants to go on with its source afterwards. */
  async receive(
    key: string,
    body: AsyncIterable<Buffer> | Iterable<Buffer>,
    expected: PutOptions,
  ): Promise<StoredBytes> {
    const leaf = this.leafOf(key);
    // Saves the work of a repeated put; what decides is the rename.
    if (await this.digestOf(leaf)) throw new ObjectExists(key);
    const folder = join(this.scratch, `${hostname()}@${process.pid}@${randomUUID()}`);
    try {
      await mkdir(folder);
      const stored = await writeFile(join(folder, 'bytes'), key, body, expected);
      expected.signal?.throwIfAborted();
      await rename(join(folder, 'bytes'), join(folder, stored.sha256));
      await syncFolder(folder);
      await this.publish(key, folder, leaf);
      return stored;
    } catch (error) {
      throw isFull(error) ? new StorageFull(error) : error;
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  override async head(key: string): Promise<{ sizeBytes: number; sha256: string } | null> {
    const leaf = this.leafOf(key);
    const sha256 = await this.digestOf(leaf);
    const file = sha256 && (await unlessMissing(stat(join(leaf, sha256))));
    return file ? { sizeBytes: file.size, sha256 } : null;
  }

  override async read(key: string, range?: ByteRange, signal?: AbortSignal): Promise<Readable> {
    signal?.throwIfAborted();
    const file = await this.opened(key);
    try {
      const { size } = await file.stat();
      if (range && !(range.start >= 0 && range.start < Math.min(range.end, size))) {
        throw new RangeNotSatisfiable(key, range);
      }
      const bytes = file.createReadStream({
        highWaterMark: READ_BYTES,
        ...(range && { start: range.start, end: Math.min(range.end, size) - 1 }),
      });
      return signal ? addAbortSignal(signal, bytes) : bytes;
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  private async opened(key: string): Promise<FileHandle> {
    const leaf = this.leafOf(key);
    const sha256 = await this.digestOf(leaf);
    const file = sha256 && (await unlessMissing(open(join(leaf, sha256))));
    if (!file) throw new ObjectMissing(key);
    return file;
  }

  /** The same buffer again and again: each is to be used before the next is asked for. A stream's buffers cost as much as writing them. */
  private async *blocks(parts: readonly ObjectPart[], signal?: AbortSignal): AsyncGenerator<Buffer> {
    const block = Buffer.allocUnsafe(BLOCK_BYTES);
    let filled = 0;
    for (const { key, start, end } of parts) {
      const file = await this.opened(key);
      try {
        for (let at = start; at < end; ) {
          signal?.throwIfAborted();
          const { bytesRead } = await file.read(block, filled, Math.min(block.length - filled, end - at), at);
          if (bytesRead === 0) throw new RangeNotSatisfiable(key, { start, end });
          at += bytesRead;
          filled += bytesRead;
          if (filled < block.length) continue;
          yield block;
          filled = 0;
        }
      } finally {
        await file.close();
      }
    }
    if (filled > 0) yield block.subarray(0, filled);
  }

  override async openFile(key: string): Promise<number> {
    const leaf = this.leafOf(key);
    // The name found last time nearly always still is the file's: then its folder is not read again.
    const known = this.digests.get(key);
    const file = known && (await unlessMissing(openDescriptor(join(leaf, known))));
    if (typeof file === 'number') return file;
    const sha256 = await this.digestOf(leaf);
    const found = sha256 && (await unlessMissing(openDescriptor(join(leaf, sha256))));
    if (typeof found !== 'number') throw new ObjectMissing(key);
    this.remember(key, sha256 as string);
    return found;
  }

  private remember(key: string, sha256: string): void {
    this.digests.delete(key);
    this.digests.set(key, sha256);
    const [oldest] = this.digests.keys();
    if (this.digests.size > DIGESTS_KEPT && oldest !== undefined) this.digests.delete(oldest);
  }

  override async list(
    prefix: string,
    { after = '', limit }: { after?: string; limit: number },
  ): Promise<{ key: string; sizeBytes: number }[]> {
    assertKeyPrefix(prefix);
    const page: { key: string; sizeBytes: number }[] = [];
    if (limit < 1) return page;
    for await (const key of walk(this.objects, '', prefix, after)) {
      const object = await this.head(key);
      if (object && page.push({ key, sizeBytes: object.sizeBytes }) >= limit) break;
    }
    return page;
  }

  override async delete(keys: readonly string[]): Promise<void> {
    const changed = new Set<string>();
    for (const key of keys) {
      const leaf = this.leafOf(key);
      for (const name of (await unlessMissing(readdir(leaf))) ?? []) await unlessMissing(unlink(join(leaf, name)));
      changed.add(await this.prune(leaf));
    }
    for (const folder of changed) await this.syncUpwards(folder);
  }

  override async presignPut(object: { key: string; sizeBytes: number; sha256: string }): Promise<PresignedRequest> {
    assertIncomingKey(object.key);
    const expires = Math.floor(Date.now() / 1000) + PRESIGNED_SECONDS;
    const checksum = Buffer.from(object.sha256, 'hex').toString('base64');
    const signature = signPut(
      {
        key: object.key,
        contentLength: String(object.sizeBytes),
        checksum,
        ifNoneMatch: '*',
        expires: String(expires),
      },
      this.options.signingSecret,
    );
    return {
      method: 'PUT',
      url: `${this.options.publicUrl}/storage/${object.key}?expires=${expires}&signature=${signature}`,
      headers: [
        { name: 'x-amz-checksum-sha256', value: checksum },
        { name: 'if-none-match', value: '*' },
      ],
      expiresAt: new Date(expires * 1000),
    };
  }

  /** null: this store signed it, for exactly this, and it is not expired. */
  refusalOf(put: ReceivedPut): Refusal | null {
    return refusalOf(put, this.options.signingSecret, new Date());
  }

  override localPath(key: string): string | null {
    const leaf = this.leafOf(key);
    try {
      const name = readdirSync(leaf).find((entry) => DIGEST.test(entry));
      return name ? join(leaf, name) : null;
    } catch (error) {
      if (isMissing(error)) return null;
      throw error;
    }
  }

  private leafOf(key: string): string {
    assertObjectKey(key);
    return join(this.objects, `${key}${LEAF}`);
  }

  /** undefined: no object, or one whose deletion was cut between the file and its folder. */
  private async digestOf(leaf: string): Promise<string | undefined> {
    return (await unlessMissing(readdir(leaf)))?.find((name) => DIGEST.test(name));
  }

  /** The one step that makes the object visible: it succeeds for one of any number of racing puts. */
  private async publish(key: string, folder: string, leaf: string): Promise<void> {
    const parent = dirname(leaf);
    for (let attempt = 1; ; attempt++) {
      try {
        await mkdir(parent, { recursive: true });
        await rename(folder, leaf);
        break;
      } catch (error) {
        if (codeOf(error) === 'ENOTEMPTY' || codeOf(error) === 'EEXIST') throw new ObjectExists(key);
        // A delete of a neighbour removed an empty parent between two of the steps.
        if (!isMissing(error) || attempt >= 100) throw error;
      }
    }
    await this.syncUpwards(parent);
  }

  /** Removes a folder and those around it for as long as they are empty; returns the first that stayed. */
  private async prune(folder: string): Promise<string> {
    while (folder !== this.objects) {
      try {
        await rmdir(folder);
      } catch (error) {
        if (codeOf(error) === 'ENOTEMPTY' || codeOf(error) === 'EEXIST') break;
        if (!isMissing(error)) throw error;
      }
      folder = dirname(folder);
    }
    return folder;
  }

  /** Another put may have made any of the folders just now, and not have come to syncing it. */
  private async syncUpwards(folder: string): Promise<void> {
    for (; folder.length >= this.objects.length; folder = dirname(folder)) await unlessMissing(syncFolder(folder));
  }
}

async function writeFile(
  path: string,
  key: string,
  body: AsyncIterable<Buffer> | Iterable<Buffer>,
  expected: PutOptions,
): Promise<StoredBytes> {
  const { sizeBytes = Number.POSITIVE_INFINITY, sha256, signal } = expected;
  const hash = createHash('sha256');
  const file = await open(path, 'wx');
  try {
    let received = 0;
    let held: Buffer[] = [];
    let heldBytes = 0;
    for await (const chunk of body) {
      signal?.throwIfAborted();
      received += chunk.length;
      if (received > sizeBytes) throw new SizeMismatch(key, sizeBytes, 'more');
      hash.update(chunk);
      held.push(chunk);
      heldBytes += chunk.length;
      if (heldBytes < WRITE_BYTES) continue;
      await writeAll(file, held);
      held = [];
      heldBytes = 0;
    }
    await writeAll(file, held);
    if (Number.isFinite(sizeBytes) && received !== sizeBytes) throw new SizeMismatch(key, sizeBytes, String(received));
    const digest = hash.digest('hex');
    if (sha256 !== undefined && sha256 !== digest) throw new DigestMismatch(key);
    await file.sync();
    return { sizeBytes: received, sha256: digest };
  } finally {
    await file.close();
  }
}

async function writeAll(file: FileHandle, buffers: readonly Buffer[]): Promise<void> {
  const whole = buffers.reduce((sum, { length }) => sum + length, 0);
  if (whole === 0) return;
  const { bytesWritten } = await file.writev(buffers);
  // A full disk takes what still fits, and refuses the rest.
  if (bytesWritten < whole) await file.appendFile(Buffer.concat(buffers).subarray(bytesWritten));
}

/** Keys below `folder` that start with `prefix` and come after `after`, in the order of their bytes. */
async function* walk(folder: string, path: string, prefix: string, after: string): AsyncGenerator<string> {
  const names = ((await unlessMissing(readdir(folder))) ?? []).filter((name) => DIRECTORY_ENTRY.test(name));
  const entries = names.map((name) => path + (name.endsWith(LEAF) ? name.slice(0, -LEAF.length) : `${name}/`)).sort();
  for (const entry of entries) {
    if (!entry.endsWith('/')) {
      if (entry.startsWith(prefix) && entry > after) yield entry;
    } else if ((entry.startsWith(prefix) || prefix.startsWith(entry)) && (entry > after || after.startsWith(entry))) {
      yield* walk(join(folder, entry.slice(path.length)), entry, prefix, after);
    }
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder: FileHandle = await open(path);
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/**
 * A scratch folder is named after its process. Of another machine's (or container's) processes nothing is known but when
 * they last wrote.
 */
async function isAbandoned(path: string, name: string): Promise<boolean> {
  const [host, pid] = name.split('@');
  if (host === hostname() && (Number(pid) === process.pid || !isRunning(Number(pid)))) return true;
  const touched = (await unlessMissing(stat(join(path, 'bytes')))) ?? (await unlessMissing(stat(path)));
  return touched !== null && Date.now() - touched.mtimeMs > ABANDONED_MS;
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) === 'EPERM';
  }
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}

function isMissing(error: unknown): boolean {
  return codeOf(error) === 'ENOENT';
}

function isFull(error: unknown): boolean {
  return codeOf(error) === 'ENOSPC' || codeOf(error) === 'EDQUOT';
}

async function unlessMissing<T>(result: Promise<T>): Promise<T | null> {
  try {
    return await result;
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}
