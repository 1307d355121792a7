import { open, readdir, stat } from 'node:fs/promises';
import { basename, extname, join, resolve } from 'node:path';
import { EXIT, Problem } from './problem.js';

export interface VideoFile {
  path: string;
  name: string;
  sizeBytes: number;
}

/** A file or folder below one that was named, which cannot be uploaded. */
export interface LeftOut {
  path: string;
  code: 'EMPTY_FILE' | 'FILE_UNREADABLE';
  reason: string;
}

const VIDEO = new Set(
  'mp4 m4v mov mkv webm avi mpg mpeg m2v ts mts m2ts vob flv f4v wmv asf 3gp 3g2 ogv ogm mxf dv'.split(' '),
);

/**
 * The files that are named, and the videos (by their extension) in folders that are named, each once, in order. What is
 * hidden in a folder is left out as is `node_modules`, and links in it are not followed.
 * @throws Problem where what is named is not there, is empty or holds no video
 */
export async function videosOf(paths: readonly string[]): Promise<{ files: VideoFile[]; leftOut: LeftOut[] }> {
  const found = new Map<string, VideoFile>();
  const leftOut: LeftOut[] = [];
  const take = (path: string, sizeBytes: number) => found.set(path, { path, name: basename(path), sizeBytes });
  for (const given of paths) {
    const path = resolve(given);
    const what = await stat(path).catch((error: NodeJS.ErrnoException) => {
      throw new Problem(`${given}: ${error.code === 'ENOENT' ? 'there is no such file' : error.message}.`, EXIT.usage);
    });
    if (!what.isDirectory()) {
      if (what.size === 0) throw new Problem(`${given}: this file is empty.`, EXIT.usage);
      take(path, what.size);
      continue;
    }
    const before = found.size + leftOut.length;
    for await (const one of videosIn(path)) {
      if ('code' in one) leftOut.push(one);
      else take(one.path, one.sizeBytes);
    }
    if (found.size + leftOut.length === before) {
      throw new Problem(`${given}: no video in this folder or below.`, EXIT.usage);
    }
  }
  return { files: [...found.values()], leftOut };
}

async function* videosIn(folder: string): AsyncGenerator<{ path: string; sizeBytes: number } | LeftOut> {
  const unreadable = (path: string, error: unknown): LeftOut => {
    return { path, code: 'FILE_UNREADABLE', reason: (error as Error).message };
  };
  const entries = await readdir(folder, { withFileTypes: true }).catch((error) => unreadable(folder, error));
  if ('code' in entries) return yield entries;
  const visible = entries.filter(({ name }) => !name.startsWith('.') && name !== 'node_modules');
  for (const entry of visible.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(folder, entry.name);
    const extension = extname(entry.name).slice(1).toLowerCase();
    if (entry.isDirectory()) yield* videosIn(path);
    if (!entry.isFile() || !VIDEO.has(extension)) continue;
    try {
      if ((extension === 'ts' || extension === 'mts') && !(await isTransportStream(path))) continue;
      const { size } = await stat(path);
      yield size > 0 ? { path, sizeBytes: size } : { path, code: 'EMPTY_FILE', reason: 'this file is empty' };
    } catch (error) {
      yield unreadable(path, error);
    }
  }
}

/** And no TypeScript, which has the same extensions: packets of 188 bytes begin with 0x47, behind 4 more on a camera. */
async function isTransportStream(path: string): Promise<boolean> {
  const file = await open(path);
  try {
    const { buffer } = await file.read(Buffer.alloc(200), 0, 200, 0);
    return [0, 4].some((before) => buffer[before] === 0x47 && buffer[before + before + 188] === 0x47);
  } finally {
    await file.close();
  }
}
