import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import http from 'node:http';
import https from 'node:https';
import { basename } from 'node:path';
import { TLSSocket } from 'node:tls';
import { blobSource } from './blob-source.js';
import { ConnectionLost, UploadError } from './errors.js';
import { type Answer, every, type Outgoing, type Platform, type Sending, type Source } from './platform.js';

const READ_BYTES = 256 * 1024;
/** At once to the kernel: what it takes of such a piece is not known, so it is small. */
const PIECE_BYTES = 32 * 1024;
const MOST_OF_AN_ANSWER = 1024 * 1024;

class FileSource implements Source {
  readonly type = '';
  readonly every = every;

  constructor(
    private readonly file: FileHandle,
    readonly name: string,
    readonly size: number,
    private readonly changedAt: number,
  ) {}

  async read(start: number, end: number): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = new Uint8Array(end - start);
    for (let at = 0; at < bytes.length; ) {
      const { bytesRead } = await this.file
        .read(bytes, at, bytes.length - at, start + at)
        .catch((error: Error) => Promise.reject(new UploadError('FILE_UNREADABLE', error.message)));
      if (bytesRead === 0) throw changed();
      at += bytesRead;
    }
    return bytes;
  }

  async digest(start: number, end: number): Promise<string> {
    const hash = createHash('sha256');
    for (let at = start; at < end; at += READ_BYTES) hash.update(await this.read(at, Math.min(end, at + READ_BYTES)));
    return hash.digest('hex');
  }

  async check(): Promise<void> {
    const { size, mtimeMs } = await this.file
      .stat()
      .catch((error: Error) => Promise.reject(new UploadError('FILE_UNREADABLE', error.message)));
    if (size !== this.size || mtimeMs !== this.changedAt) throw changed();
  }

  async close(): Promise<void> {
    await this.file.close();
  }
}

const changed = () => new UploadError('FILE_CHANGED', 'The file was changed while it was being uploaded.');

async function openFile(path: string): Promise<Source> {
  try {
    const file = await open(path);
    const { size, mtimeMs } = await file.stat();
    return new FileSource(file, basename(path), size, mtimeMs);
  } catch (error) {
    throw new UploadError('FILE_UNREADABLE', (error as Error).message);
  }
}

const agents = new Map<string, http.Agent>();
function agentOf(protocol: string): http.Agent {
  let agent = agents.get(protocol);
  if (!agent) {
    agent = new (protocol === 'https:' ? https : http).Agent({ keepAlive: true });
    agents.set(protocol, agent);
  }
  return agent;
}

function send({ method, url, headers, body, onOpen, onHanded }: Outgoing): Sending {
  const { protocol } = new URL(url);
  const length =
    body === undefined
      ? {}
      : { 'content-length': typeof body === 'string' ? Buffer.byteLength(body) : body.end - body.start };
  const request = (protocol === 'https:' ? https : http).request(url, {
    method,
    headers: { ...headers, ...length },
    agent: agentOf(protocol),
  });
  let over = false;
  const answer = new Promise<Answer>((resolve, reject) => {
    const end = (error: Error) => {
      over = true;
      reject(error);
      request.destroy();
    };
    const lost = (error?: Error) => end(new ConnectionLost(error?.message ?? 'The connection ended.'));
    request.on('error', lost);
    request.on('close', () => over || lost());
    request.on('response', (response) => {
      over = true;
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => {
        text += part;
        if (text.length > MOST_OF_AN_ANSWER) response.destroy();
      });
      response.on('error', lost);
      response.on('close', () => response.complete || lost());
      response.on('end', () => {
        const header = (name: string) => response.headers[name]?.toString() ?? null;
        resolve({ status: response.statusCode ?? 0, header, body: text });
        // Answered before all of it was sent.
        if (!request.writableEnded) discard(request);
      });
    });
    request.on('socket', (socket) => {
      const open = () => {
        onOpen?.();
        if (typeof body === 'object') pump(body, request, () => over, onHanded).catch(end);
      };
      if (socket.connecting) socket.once(protocol === 'https:' ? 'secureConnect' : 'connect', open);
      else open();
    });
    if (typeof body !== 'object') request.end(body);
    // Its head leaves with the connection, before there is a body.
    else request.flushHeaders();
  });
  return { answer, abort: () => discard(request) };
}

/** With what its kernel still holds, which would else be sent for nothing. */
function discard(request: http.ClientRequest): void {
  const { socket } = request;
  if (!request.writableFinished && socket && !socket.connecting && !(socket instanceof TLSSocket))
    socket.resetAndDestroy();
  request.destroy();
}

/** Hands over no more than the kernel takes: what it has is lost with the connection. */
async function pump(
  { source, start, end }: { source: Source; start: number; end: number },
  request: http.ClientRequest,
  isOver: () => boolean,
  onHanded?: (bytes: number) => void,
): Promise<void> {
  for (let at = start; at < end; ) {
    const block = await source.read(at, Math.min(end, at + READ_BYTES));
    for (let from = 0; from < block.length; from += PIECE_BYTES) {
      const piece = block.subarray(from, from + PIECE_BYTES);
      if (isOver() || request.destroyed) return;
      onHanded?.(at + from + piece.length - start);
      await new Promise<void>((resolve) => request.write(piece, () => resolve()));
    }
    at += block.length;
  }
  request.end();
}

export const nodePlatform: Platform = {
  async open(source) {
    if (typeof source === 'string') return openFile(source);
    if (source instanceof Blob) return blobSource(source, async (blob) => digestOf(blob));
    const { path } = (source ?? {}) as { path?: unknown };
    if (typeof path === 'string') return openFile(path);
    throw new UploadError('FILE_UNREADABLE', 'What is to be uploaded is a path, a File or a Blob.');
  },
  send,
  sockets: Number.POSITIVE_INFINITY,
  repeats: () => false,
  report: (error) => process.emitWarning(String((error as Error | undefined)?.stack ?? error)),
  forget() {
    for (const agent of agents.values()) {
      for (const sockets of Object.values(agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy();
    }
  },
  onOnline: () => () => undefined,
};

async function digestOf(blob: Blob): Promise<string> {
  const hash = createHash('sha256');
  for (let at = 0; at < blob.size; at += READ_BYTES) {
    hash.update(new Uint8Array(await blob.slice(at, at + READ_BYTES).arrayBuffer()));
  }
  return hash.digest('hex');
}
