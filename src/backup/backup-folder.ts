import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, open, readdir, readFile, realpath, rename, rm, writeFile } from 'node:fs/promises';
import { join, relative, resolve, sep } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createGzip } from 'node:zlib';
import { CommandError } from '../commands/command.js';
import { DiskStorage } from '../modules/storage/index.js';

/** What one backup holds, as `manifest.json` says it. */
export interface Manifest {
  readonly format: 1;
  /** Whose backup it is. */
  readonly installation: string;
  /** Of the snapshot, by the database's clock. */
  readonly takenAt: string;
  readonly postgres: string;
  readonly migrations: readonly { readonly name: string; readonly md5: string }[];
  /** Each is `tables/NAME.copy.gz`: COPY's text format. The digest is the file's. */
  readonly tables: readonly {
    readonly name: string;
    readonly columns: readonly string[];
    readonly rows: number;
    readonly sha256: string;
  }[];
  readonly sequences: readonly { readonly name: string; readonly last: string }[];
  /** `objects.gz`: a line for each object, in the order of the keys' bytes. */
  readonly objects: { readonly count: number; readonly bytes: number; readonly sha256: string };
  /** Objects that the store itself had lost, or held with other bytes. */
  readonly damaged: number;
}

export interface BackedUpObject {
  readonly key: string;
  readonly sizeBytes: number;
  /** null: it was damaged in the store, and is not in the backup. */
  readonly sha256: string | null;
}

const NAME = /^\d{8}T\d{6}\.\d{3}Z$/;
const PART = /^\d{8}T\d{6}\.\d{3}Z\.part$/;
const OURS = new Set(['objects', 'scratch']);
const KEPT = 'objects.gz';

/**
 * A folder of backups: `TIME/` for each, with its manifest, tables and list of objects, and `objects/` for the objects of
 * them all. Objects never change, so each is there once, laid out as the disk store has them: its digest is its file's name.
 */
export class BackupFolder {
  readonly objects: DiskStorage;

  private constructor(readonly path: string) {
    this.objects = new DiskStorage({ root: path, publicUrl: '', signingSecret: '' });
  }

  /** For writing; made where it is missing. @throws CommandError where it is no place for backups */
  static async prepare(path: string, dataDir: string): Promise<BackupFolder> {
    // Password hashes and private videos: nobody else's business.
    await mkdir(path, { recursive: true, mode: 0o700 });
    const real = await realpath(path);
    const way = relative(await realpath(dataDir), real);
    if (way === '' || (way !== '..' && !way.startsWith(`..${sep}`) && resolve(way) !== way)) {
      throw new CommandError(`${path} is inside DATA_DIR, and would be lost with it. Name another folder.`);
    }
    const foreign = (await readdir(real)).find((name) => !OURS.has(name) && !NAME.test(name) && !PART.test(name));
    if (foreign !== undefined) {
      throw new CommandError(
        `${path} holds something else than backups (${foreign}). Name an empty folder, or a new one.`,
      );
    }
    const folder = new BackupFolder(real);
    await folder.objects.prepare();
    return folder;
  }

  /** For reading. */
  static existing(path: string): BackupFolder {
    return new BackupFolder(resolve(path));
  }

  /** Names of the backups that are whole, oldest first. */
  async names(): Promise<string[]> {
    const entries = await readdir(this.path).catch((error: Error) => {
      throw new CommandError(`${this.path} cannot be read: ${error.message}.`);
    });
    return entries.filter((name) => NAME.test(name)).sort();
  }

  /** A new, empty installation must not push out the backups of the one that was lost. @throws CommandError */
  async assertOf(installation: string): Promise<void> {
    const newest = (await this.names()).at(-1);
    if (newest === undefined || (await this.read(newest)).manifest.installation === installation) return;
    throw new CommandError(`${this.path} holds the backups of another installation. Name another folder.`);
  }

  /** A backup that is being made: it counts once `finish` has renamed it. */
  async begin(takenAt: Date): Promise<{ name: string; path: string }> {
    const name = takenAt.toISOString().replace(/[-:]/g, '');
    const path = join(this.path, `${name}.part`);
    // Where the folder was there before, others may be able to look into it.
    await mkdir(path, { mode: 0o700 });
    await mkdir(join(path, 'tables'));
    return { name, path };
  }

  async finish({ name, path }: { name: string; path: string }, manifest: Manifest): Promise<void> {
    await writeFile(join(path, 'manifest.json'), `${JSON.stringify(manifest, null, 1)}\n`, { flush: true });
    for (const folder of [join(path, 'tables'), path]) await syncFolder(folder);
    await rename(path, join(this.path, name));
    await syncFolder(this.path);
  }

  /** Removes what backups that were killed left; their objects stay, and the next ones find them. */
  async clean(): Promise<void> {
    for (const name of await readdir(this.path)) {
      if (PART.test(name)) await rm(join(this.path, name), { recursive: true });
    }
  }

  /** Removes all but the newest `keep` backups, and the objects that none of those names. @returns names of the removed */
  async keepNewest(keep: number): Promise<string[]> {
    const names = await this.names();
    const old = names.slice(0, Math.max(0, names.length - keep));
    for (const name of old) {
      // Renamed first: what is half removed must not look whole.
      await rename(join(this.path, name), join(this.path, `${name}.part`));
      await rm(join(this.path, `${name}.part`), { recursive: true });
    }
    await this.sweep(names.slice(old.length));
    return old;
  }

  async read(name: string): Promise<{ manifest: Manifest; sha256: string }> {
    const text = await readFile(join(this.path, name, 'manifest.json'), 'utf8').catch(() => {
      throw new CommandError(`${this.path} holds no backup ${name}.`);
    });
    const manifest = JSON.parse(text) as Manifest;
    if (manifest.format !== 1) throw new CommandError(`${name} was made by a newer build: restore it with that.`);
    return { manifest, sha256: createHash('sha256').update(text).digest('hex') };
  }

  table(name: string, table: string): string {
    return join(this.path, name, 'tables', `${table}.copy.gz`);
  }

  listOf(name: string): string {
    return join(this.path, name, KEPT);
  }

  /** Its objects, in the order of their keys. */
  async *objectsOf(name: string): AsyncGenerator<BackedUpObject> {
    for await (const line of linesOf(this.listOf(name))) {
      const [key = '', size, sha256] = line.split('\t');
      yield { key, sizeBytes: Number(size), sha256: sha256 === '-' ? null : (sha256 as string) };
    }
  }

  /** Objects and lists come in one order, so that this is one pass over all of them side by side. */
  private async sweep(names: readonly string[]): Promise<void> {
    const cursors = names.map((name) => this.objectsOf(name));
    const heads = await Promise.all(cursors.map((cursor) => cursor.next()));
    for (let after: string | undefined; ; ) {
      const page = await this.objects.list('', { after, limit: 1000 });
      const unwanted: string[] = [];
      for (const { key } of page) {
        for (const [n, cursor] of cursors.entries()) {
          for (let head = heads[n]; head && !head.done && head.value.key < key; ) {
            head = await cursor.next();
            heads[n] = head;
          }
        }
        if (!heads.some((head) => !head.done && head.value.key === key)) unwanted.push(key);
      }
      await this.objects.delete(unwanted);
      after = page.at(-1)?.key;
      if (page.length < 1000) break;
    }
    await Promise.all(cursors.map((cursor) => cursor.return(undefined)));
  }
}

/** Writes what `source` gives, compressed, and to the disk itself. @returns the file's digest */
export async function writeGzip(path: string, source: AsyncIterable<string | Buffer>): Promise<string> {
  const hash = createHash('sha256');
  const digest = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      done(null, chunk);
    },
  });
  await pipeline(
    source instanceof Readable ? source : Readable.from(source),
    createGzip({ level: 6 }),
    digest,
    createWriteStream(path, { flush: true }),
  );
  return hash.digest('hex');
}

/** @throws CommandError when the file is not there, or not the one that the digest was taken of */
export async function assertDigest(path: string, sha256: string): Promise<void> {
  const hash = createHash('sha256');
  try {
    for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  } catch (error) {
    throw new CommandError(`The backup is damaged: ${(error as Error).message}.`);
  }
  if (hash.digest('hex') !== sha256) throw new CommandError(`The backup is damaged: ${path} has other bytes now.`);
}

/** The lines of a compressed file. */
export async function* linesOf(path: string): AsyncGenerator<string> {
  const unpacked = createGunzip().setEncoding('utf8');
  // Its failure ends the iteration, which throws it.
  const piped = pipeline(createReadStream(path), unpacked);
  void Promise.allSettled([piped]);
  let rest = '';
  for await (const chunk of unpacked as AsyncIterable<string>) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() as string;
    yield* lines;
  }
  await piped;
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path);
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
