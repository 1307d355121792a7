import type { IncomingMessage } from 'node:http';
import { Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { noteBodyBytes } from '../../common/http/index.js';
import type { Refusal } from './disk-signature.js';
import { DiskStorage } from './disk-storage.js';
import { MovingStorage } from './moving-storage.js';
import { isObjectKey } from './object-key.js';
import { ObjectStorage, PUT_SECONDS } from './object-storage.js';
import { StorageError, type StorageErrorCode } from './storage.errors.js';
import { within } from './within.js';

const PATH = '/storage/';
/** A link that cuts for some seconds is no reason; one that says nothing for as long is gone. */
const IDLE_MS = 60_000;
/** What a refused client may go on sending, so that it comes to reading the answer. */
const UNWANTED_BYTES = 32 * 1024 * 1024;
const UNWANTED_MS = 60_000;

const OTHER_KEY: Refusal = { status: 403, code: 'AccessDenied', message: 'Nothing can be put under such a key.' };
const CUT: Refusal = { status: 400, code: 'IncompleteBody', message: 'The connection was cut.' };
const TOO_SLOW: Refusal = { status: 400, code: 'RequestTimeout', message: 'The body came too slowly.' };
const FAILED: Refusal = { status: 500, code: 'InternalError', message: 'The object could not be stored: try again.' };
const REFUSALS: Partial<Record<StorageErrorCode, Refusal>> = {
  OBJECT_EXISTS: { status: 412, code: 'PreconditionFailed', message: 'The object is there already.' },
  DIGEST_MISMATCH: { status: 400, code: 'BadDigest', message: 'The bytes do not have the SHA-256 that was signed.' },
  STORAGE_FULL: { status: 507, code: 'STORAGE_FULL', message: 'The store has no space left: try again later.' },
};

class BodyTooSlow extends Error {}

/**
 * Serves `PUT /storage/<key>?expires=…&signature=…`, what DiskStorage signs. A scope of Fastify's own and not a
 * controller: there no body parser stands between the socket and the file, whatever the content type says. It is public by design:
 * the signature is the permission, and covers all that the request does. CORS is the server's, as for every path.
 */
@Injectable()
export class DiskIngress implements OnModuleInit {
  private readonly logger = new Logger(DiskIngress.name);
  /** Replaced by tests, which have no minute. */
  idleMs = IDLE_MS;

  constructor(
    private readonly storage: ObjectStorage,
    private readonly host: HttpAdapterHost,
  ) {}

  onModuleInit(): void {
    // What was signed before objects began to move from disk still comes here.
    const stores = this.storage instanceof MovingStorage ? [this.storage.to, this.storage.from] : [this.storage];
    const storage = stores.find((store) => store instanceof DiskStorage);
    if (!storage || !this.host.httpAdapter) return;
    const server: FastifyInstance = this.host.httpAdapter.getInstance();
    server.register(async (scope) => {
      scope.removeAllContentTypeParsers();
      scope.addContentTypeParser('*', (_request, _body, done) => done(null));
      scope.put(`${PATH}*`, async (request, reply) => this.put(storage, request, reply));
    });
  }

  private async put(storage: DiskStorage, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const { raw } = request;
    const refusal = await this.receive(storage, raw);
    if (!refusal) {
      const checksum = String(raw.headers['x-amz-checksum-sha256']);
      return reply.code(200).header('etag', `"${checksum}"`).header('x-amz-checksum-sha256', checksum).send();
    }
    if (!raw.complete && !raw.destroyed) {
      if (refusal === TOO_SLOW || !(Number(raw.headers['content-length']) <= UNWANTED_BYTES)) {
        reply.header('connection', 'close');
      } else {
        const discarded = discardRest(raw);
        if (!reply.raw.shouldKeepAlive) await discarded;
      }
    }
    const { status, code, message } = refusal;
    return reply
      .code(status)
      .type('application/xml')
      .send(`<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>${message}</Message></Error>`);
  }

  /** null: the object is stored. */
  private async receive(storage: DiskStorage, request: IncomingMessage): Promise<Refusal | null> {
    const [path = '', query] = (request.url ?? '').split('?', 2);
    const key = path.slice(PATH.length);
    // Never decoded: no key has a character that needs it.
    if (!path.startsWith(PATH) || !isObjectKey(key)) return OTHER_KEY;
    const parameters = new URLSearchParams(query);
    const header = (name: string): string | undefined => one(request.headersDistinct[name]);
    const refusal = storage.refusalOf({
      key,
      contentLength: header('content-length'),
      checksum: header('x-amz-checksum-sha256'),
      ifNoneMatch: header('if-none-match'),
      expires: one(parameters.getAll('expires')),
      signature: one(parameters.getAll('signature')),
    });
    if (refusal) return refusal;
    try {
      await storage.receive(key, arriving(request, this.idleMs), {
        sizeBytes: Number(header('content-length')),
        sha256: Buffer.from(header('x-amz-checksum-sha256') ?? '', 'base64').toString('hex'),
      });
      return null;
    } catch (error) {
      const known = error instanceof StorageError ? REFUSALS[error.code] : undefined;
      if (known) return known;
      if (error instanceof BodyTooSlow) return TOO_SLOW;
      if (request.destroyed) return CUT;
      this.logger.error(`${key} could not be stored: ${(error as Error).message}`, (error as Error).stack);
      return FAILED;
    }
  }
}

/** The body, for as long as it keeps coming. The request outlives the iteration, so that it can be answered. */
async function* arriving(request: IncomingMessage, idleMs: number): AsyncGenerator<Buffer> {
  const deadline = Date.now() + PUT_SECONDS * 1000;
  const chunks = request.iterator({ destroyOnReturn: false });
  try {
    for (;;) {
      const next = await within(chunks.next(), Math.min(idleMs, deadline - Date.now()), () => new BodyTooSlow());
      if (next.done) return;
      noteBodyBytes(next.value.length);
      yield next.value;
    }
  } finally {
    // Not awaited: after a time-out it would wait for the very chunk that does not come.
    void chunks.return?.();
  }
}

/**
 * Closing a connection with bytes on their way resets it, and the client would see that in place of the answer. So a body
 * of a usual size is read and dropped, within bounds.
 */
function discardRest(request: IncomingMessage): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      request.socket.off('close', done);
      resolve();
    };
    const timer = setTimeout(() => request.destroy(), UNWANTED_MS);
    request.socket.once('close', done);
    request.once('end', done).resume();
  });
}

function one(values: readonly string[] | undefined): string | undefined {
  return values?.length === 1 ? values[0] : undefined;
}
