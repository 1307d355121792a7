import { open } from 'node:fs/promises';

/** Bytes that can be read at any place; short only at the end. */
export interface ByteSource {
  readonly sizeBytes: number;
  read(offset: number, length: number): Promise<Buffer>;
}

/** An ISO base media box (ISO/IEC 14496-12, 4.2): where it starts, how long it says it is, where its content starts. */
export interface Box {
  readonly type: string;
  readonly offset: number;
  /** As declared; to the end of the file where the box says so. It may reach past the end. */
  readonly size: number;
  readonly headerSize: number;
}

export async function withFile<T>(path: string, use: (source: ByteSource) => Promise<T>): Promise<T> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    return await use({
      sizeBytes: size,
      async read(offset, length) {
        const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, offset);
        return buffer.subarray(0, bytesRead);
      },
    });
  } finally {
    await file.close();
  }
}

const HEADER_BYTES = 16;
/** Read at once behind a box that is smaller: a file may have tens of thousands of such. */
const WINDOW_BYTES = 4096;

/** The boxes that stand in a file from `start` to `end`, in order: the outermost ones by default. Reads the header of each; ends at the first that cannot be one. */
export async function* boxesOf(source: ByteSource, start = 0, end = source.sizeBytes): AsyncGenerator<Box> {
  let window: { offset: number; bytes: Buffer } = { offset: start, bytes: Buffer.alloc(0) };
  const headerAt = async (offset: number, length: number): Promise<Buffer> => {
    const known = window.bytes.subarray(offset - window.offset, offset - window.offset + HEADER_BYTES);
    if (known.length === HEADER_BYTES) return known;
    window = { offset, bytes: await source.read(offset, length) };
    // Of a file that still arrives, so much may not be there.
    return window.bytes.length > 0 || length === HEADER_BYTES ? window.bytes : headerAt(offset, HEADER_BYTES);
  };
  let length = HEADER_BYTES;
  for (let offset = start; offset + 8 <= end; ) {
    const box = boxAt((await headerAt(offset, length)).subarray(0, HEADER_BYTES), offset, end);
    if (!box) return;
    yield box;
    offset += box.size;
    length = box.size < WINDOW_BYTES ? WINDOW_BYTES : HEADER_BYTES;
  }
}

/** The boxes inside `buffer` from `start` to `end`; ends at the first that does not fit. */
export function* innerBoxes(buffer: Buffer, start = 0, end = buffer.length): Generator<Box> {
  for (let offset = start; offset + 8 <= end; ) {
    const box = boxAt(buffer.subarray(offset, Math.min(end, offset + 16)), offset, end);
    if (!box || box.offset + box.size > end) return;
    yield box;
    offset += box.size;
  }
}

/** Whoever puts more boxes into one means no good. */
const MAX_INNER_BOXES = 1_000;

/** The content of the box at the end of `path`, such as `['moov', 'trak', 'mdia', 'mdhd']`; the first where there are several. */
export function findBox(buffer: Buffer, path: readonly string[]): Buffer | null {
  let content: Buffer = buffer;
  for (const type of path) {
    const next = boxesIn(content, type, 1)[0];
    if (!next) return null;
    content = next;
  }
  return content;
}

/** The contents of at most so many boxes of this type, of those that stand in `content` itself. */
export function boxesIn(content: Buffer, type: string, most: number): Buffer[] {
  const found: Buffer[] = [];
  let boxes = 0;
  for (const box of innerBoxes(content)) {
    if (box.type === type) found.push(contentOf(content, box));
    if (found.length === most || ++boxes === MAX_INNER_BOXES) break;
  }
  return found;
}

export function contentOf(buffer: Buffer, box: Box): Buffer {
  return buffer.subarray(box.offset + box.headerSize, box.offset + box.size);
}

function boxAt(header: Buffer, offset: number, end: number): Box | null {
  if (header.length < 8) return null;
  const type = header.toString('latin1', 4, 8);
  const short = header.readUInt32BE(0);
  if (short === 0) return { type, offset, size: end - offset, headerSize: 8 };
  if (short !== 1) return short < 8 ? null : { type, offset, size: short, headerSize: 8 };
  if (header.length < 16) return null;
  const size = Number(header.readBigUInt64BE(8));
  return size < 16 ? null : { type, offset, size, headerSize: 16 };
}
