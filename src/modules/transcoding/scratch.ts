import { randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, readdir, rm, stat, statfs } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { Inject, Injectable, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { CONFIG, type Config } from '../../common/config/index.js';
import { ObjectStorage } from '../storage/index.js';
import { SparseFile } from './sparse-file.js';

/** Left free on the disk, whatever is fetched: pieces are written there too. */
const RESERVE_BYTES = 512 * 1024 * 1024;
/** A folder of another machine, on a shared disk, that nothing was made in for so long, is a dead one's. */
const FOREIGN_LEAVINGS_MS = 24 * 3_600_000;

/** The sandbox's account may pass through to what it is given; nobody can look around. */
const PASSABLE = 0o711;

/** A master's next piece follows at once, most of the time. */
const LINGER_MS = 60_000;

interface Shared {
  users: number;
  leaves?: NodeJS.Timeout;
}
interface Fetched extends Shared {
  readonly path: Promise<string>;
}
interface Parts extends Shared {
  readonly file: Promise<SparseFile>;
}

/** Files for the time of one attempt, on this machine. Nothing here outlives its process for long. */
@Injectable()
export class Scratch implements OnModuleInit, OnApplicationShutdown {
  private readonly root: string;
  private readonly host = hostname()
    .toLowerCase()
    .replace(/[^a-z0-9]/g, '-');
  private readonly own: string;
  private readonly fetched = new Map<string, Fetched>();
  private readonly parts = new Map<string, Parts>();

  constructor(
    private readonly storage: ObjectStorage,
    @Inject(CONFIG) private readonly config: Config,
  ) {
    this.root = join(config.dataDir, 'scratch');
    this.own = join(this.root, `${this.host}.${process.pid}`);
  }

  async onModuleInit(): Promise<void> {
    if (this.config.role === 'api') return;
    await mkdir(this.root, { recursive: true, mode: PASSABLE });
    for (const name of await readdir(this.root)) {
      if (await this.isLeft(name)) await rm(join(this.root, name), { recursive: true, force: true });
    }
  }

  /** Jobs have ended by now. */
  async onApplicationShutdown(): Promise<void> {
    for (const [name, parts] of this.parts) {
      clearTimeout(parts.leaves);
      await this.forgetSparse(name, parts);
    }
    await rm(this.own, { recursive: true, force: true });
  }

  /** An empty folder for `work`, gone when it ends. */
  async folder<T>(work: (folder: string) => Promise<T>): Promise<T> {
    const folder = join(this.own, randomUUID());
    await mkdir(this.own, { recursive: true, mode: PASSABLE });
    await mkdir(folder);
    try {
      return await work(folder);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  /**
   * A file with the object's bytes, to be read only: the store's own where it has one, else a copy that everybody here
   * shares, gone a minute after its last use.
   *
   * @throws when the disk has no room for the copy: to be tried again later
   */
  async object<T>(
    object: { key: string; sizeBytes: number },
    signal: AbortSignal,
    work: (path: string) => Promise<T>,
  ): Promise<T> {
    const local = this.storage.localPath(object.key);
    if (local !== null) return work(local);
    signal.throwIfAborted();
    const fetched = this.fetched.get(object.key) ?? this.share(object);
    clearTimeout(fetched.leaves);
    fetched.users++;
    try {
      // Fetching goes on for others; who is told to stop does not wait for gigabytes.
      return await work(await unlessAborted(fetched.path, signal));
    } finally {
      if (--fetched.users === 0) fetched.leaves = setTimeout(() => this.forget(object.key, fetched), LINGER_MS).unref();
    }
  }

  /** Whether `object` needs not fetch it. */
  holds(key: string): boolean {
    return this.fetched.has(key);
  }

  /** A file for parts of another, empty at first; shared by all here that name the same, gone a minute after its last use. */
  async sparse<T>(name: string, sizeBytes: number, work: (file: SparseFile) => Promise<T>): Promise<T> {
    const parts = this.parts.get(name) ?? this.shareSparse(name, sizeBytes);
    clearTimeout(parts.leaves);
    parts.users++;
    try {
      return await work(await parts.file);
    } finally {
      if (--parts.users === 0) parts.leaves = setTimeout(() => this.forgetSparse(name, parts), LINGER_MS).unref();
    }
  }

  private shareSparse(name: string, sizeBytes: number): Parts {
    const parts = { file: this.makeSparse(sizeBytes), users: 0 };
    this.parts.set(name, parts);
    parts.file.catch(() => this.parts.delete(name));
    return parts;
  }

  private async makeSparse(sizeBytes: number): Promise<SparseFile> {
    await mkdir(this.own, { recursive: true, mode: PASSABLE });
    return SparseFile.create(join(this.own, randomUUID()), sizeBytes, (bytes) => this.checkRoom(bytes));
  }

  private async forgetSparse(name: string, parts: Parts): Promise<void> {
    if (this.parts.get(name) === parts) this.parts.delete(name);
    const [file] = await Promise.allSettled([parts.file]);
    if (file.status === 'rejected') return;
    await file.value.close();
    await rm(file.value.path, { force: true });
  }

  /** @throws when the disk has no room for so much more: to be tried again later */
  async checkRoom(bytes: number): Promise<void> {
    const { bavail, bsize } = await statfs(this.own);
    const free = bavail * bsize - RESERVE_BYTES;
    if (free < bytes) throw new Error(`The scratch disk has ${free} bytes to spare, ${bytes} are needed.`);
  }

  private share(object: { key: string; sizeBytes: number }): Fetched {
    const fetched = { path: this.fetch(object), users: 0 };
    this.fetched.set(object.key, fetched);
    // What could not be fetched is fetched anew next time.
    fetched.path.catch(() => this.fetched.delete(object.key));
    return fetched;
  }

  private async forget(key: string, fetched: Fetched): Promise<void> {
    if (this.fetched.get(key) === fetched) this.fetched.delete(key);
    const [path] = await Promise.allSettled([fetched.path]);
    if (path.status === 'fulfilled') await rm(path.value, { force: true });
  }

  private async fetch({ key, sizeBytes }: { key: string; sizeBytes: number }): Promise<string> {
    await mkdir(this.own, { recursive: true, mode: PASSABLE });
    await this.checkRoom(sizeBytes);
    const path = join(this.own, randomUUID());
    try {
      await pipeline(await this.storage.read(key), createWriteStream(path));
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    }
    return path;
  }

  /** Left by a process that is gone: a dead one's of this machine, this one's own number in an earlier life, or an old one's of another machine. */
  private async isLeft(name: string): Promise<boolean> {
    const dot = name.lastIndexOf('.');
    if (name.slice(0, dot) !== this.host) {
      return Date.now() - (await stat(join(this.root, name))).mtimeMs > FOREIGN_LEAVINGS_MS;
    }
    const pid = Number(name.slice(dot + 1));
    return pid === process.pid || !isAlive(pid);
  }
}

async function unlessAborted<T>(result: Promise<T>, signal: AbortSignal): Promise<T> {
  let abort: (() => void) | undefined;
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason);
    signal.addEventListener('abort', abort);
  });
  try {
    return await Promise.race([result, aborted]);
  } finally {
    if (abort) signal.removeEventListener('abort', abort);
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
