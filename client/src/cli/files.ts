import { readdir, stat } from 'node:fs/promises';
import { basename, extname, join, resolve } from 'node:path';
import { EXIT, Problem } from './problem.js';

export interface VideoFile {
  path: string;
  name: string;
  sizeBytes: number;
}

const VIDEO = new Set(
  'mp4 m4v mov mkv webm avi mpg mpeg m2v ts mts m2ts vob flv f4v wmv asf 3gp 3g2 ogv ogm mxf dv'.split(' '),
);

/**
 * The files that are named, and the videos (by their extension) in folders that are named, each once, in order. What is
 * hidden in a folder is left out, and links in it are not followed.
 * @throws Problem where something is not there, is empty or holds no video
 */
export async function videosOf(paths: readonly string[]): Promise<VideoFile[]> {
  const found = new Map<string, VideoFile>();
  for (const given of paths) {
    const path = resolve(given);
    const what = await stat(path).catch((error: NodeJS.ErrnoException) => {
      throw new Problem(`${given}: ${error.code === 'ENOENT' ? 'there is no such file' : error.message}.`, EXIT.usage);
    });
    const files = what.isDirectory() ? await videosIn(path) : [path];
    if (files.length === 0) throw new Problem(`${given}: no video in this folder or below.`, EXIT.usage);
    for (const file of files) {
      const { size } = await stat(file);
      if (size === 0) throw new Problem(`${file}: this file is empty.`, EXIT.usage);
      found.set(file, { path: file, name: basename(file), sizeBytes: size });
    }
  }
  return [...found.values()];
}

async function videosIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const visible = entries.filter(({ name }) => !name.startsWith('.')).sort((a, b) => (a.name < b.name ? -1 : 1));
  const found = visible.map(async (entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return videosIn(path);
    return entry.isFile() && VIDEO.has(extname(entry.name).slice(1).toLowerCase()) ? [path] : [];
  });
  return (await Promise.all(found)).flat();
}
