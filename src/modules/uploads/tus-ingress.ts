import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { Inject, Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost, ModuleRef } from '@nestjs/core';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type Actor, ActorResolver } from '../../common/access/index.js';
import { CONFIG, type Config } from '../../common/config/index.js';
import { DomainError, Refusal } from '../../common/errors/index.js';
import { decodeId } from '../../common/graphql/index.js';
import { addressBlock } from '../../common/http/index.js';
import { type RateLimit, RateLimits } from '../../common/rate-limits/index.js';
import { ChannelsService, canUpload } from '../channels/index.js';
import { StorageError } from '../storage/index.js';
import { type Appended, AppendLane, prefixOf } from './append-lane.service.js';
import { parseMultirange, sizeOf } from './byte-ranges.js';
import { IncomingBytes } from './incoming-bytes.js';
import {
  bytesOf,
  CHECKSUM_ALGORITHMS,
  CHECKSUM_MISMATCH,
  type Checksum,
  checksumOf,
  MAX_CHECKED_BYTES,
  metadataOf,
  TUS_EXTENSIONS,
  TUS_VERSION,
} from './tus-protocol.js';
import { capabilityOf, sessionOf } from './upload-capability.js';
import { UploadWriters } from './upload-writers.service.js';
import { SESSIONS, type UploadSessionRow, UploadsService } from './uploads.service.js';
import { wantedRanges } from './wanted-ranges.js';

export const TUS_PATH = '/tus';
const BYTES = 'application/offset+octet-stream';
/** Of a refused body, so that its sender comes to reading the answer. */
const UNWANTED_BYTES = 1024 * 1024;
/** From one address: a client on a bad link asks some 6 times a second, an upload in small requests more often. */
const REQUESTS: RateLimit = { name: 'tus', points: 6_000, seconds: 60 };
/** A request that brought as much was worth its while, and does not count. */
const WORTH_BYTES = 64 * 1024;
/** For the rest of a body that nobody wants. */
const UNWANTED_MS = 10_000;
/** For the end of a body of unknown length. */
const LAST_MS = 1_000;
const RANGES_SHOWN = 1_000;
/** Unfinished uploads of one fingerprint that are looked through. */
const SAME_FILES = 20;

/** What the client is told: a status, and why in words and as a code. */
class TusRefusal extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

const GONE = () => new TusRefusal(410, 'SESSION_ENDED', 'This upload was cancelled or has expired: begin a new one.');

/**
 * tus 1.0 at `/tus`, for stock clients: creation wants an access token, everything after that the address that creation
 * answered, and nothing else. `/tus/…/ranges` is ours: takes bytes at any place, by the same code, and tells which are there.
 * A scope of Fastify's own and not a controller: no body parser stands between the socket and the store.
 * https://tus.io/protocols/resumable-upload
 */
@Injectable()
export class TusIngress implements OnModuleInit {
  private readonly logger = new Logger(TusIngress.name);
  /** Replaced by tests. */
  unwantedMs = UNWANTED_MS;

  constructor(
    private readonly host: HttpAdapterHost,
    private readonly modules: ModuleRef,
    private readonly lane: AppendLane,
    private readonly writers: UploadWriters,
    private readonly uploads: UploadsService,
    private readonly channels: ChannelsService,
    private readonly limits: RateLimits,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  onModuleInit(): void {
    if (this.config.role === 'worker' || !this.host.httpAdapter) return;
    const server: FastifyInstance = this.host.httpAdapter.getInstance();
    server.register(async (scope) => {
      scope.removeAllContentTypeParsers();
      scope.addContentTypeParser('*', (_request, _body, done) => done(null));
      scope.addHook('onRequest', async (request, reply) => this.greet(request, reply));
      scope.addHook('onSend', async (request, reply) => this.endForBrowsers(request, reply));
      scope.setErrorHandler((error, request, reply) => this.refuse(error, request, reply));
      scope.options(TUS_PATH, (_, reply) => this.options(reply));
      scope.options(`${TUS_PATH}/*`, (_, reply) => this.options(reply));
      scope.post(TUS_PATH, (request, reply) => this.create(request, reply));
      scope.head<Addressed>(`${TUS_PATH}/:capability`, (request, reply) => this.head(request, reply));
      scope.patch<Addressed>(`${TUS_PATH}/:capability`, (request, reply) => this.patch(request, reply));
      scope.delete<Addressed>(`${TUS_PATH}/:capability`, (request, reply) => this.terminate(request, reply));
      scope.get<Addressed>(`${TUS_PATH}/:capability/ranges`, (request, reply) => this.look(request, reply));
      // One address a session, so that browsers ask once whether they may.
      scope.patch<Addressed>(`${TUS_PATH}/:capability/ranges`, (request, reply) =>
        this.range(request, reply, header(request, 'upload-offset')),
      );
      scope.head<Addressed>(`${TUS_PATH}/:capability/ranges/:offset`, (request, reply) => this.lookAt(request, reply));
      scope.patch<Addressed>(`${TUS_PATH}/:capability/ranges/:offset`, (request, reply) =>
        this.range(request, reply, request.params.offset),
      );
      // For clients in places that let no PATCH or DELETE through.
      scope.post<Addressed>(`${TUS_PATH}/:capability`, async (request, reply) => {
        const method = header(request, 'x-http-method-override');
        if (method === 'PATCH') return this.patch(request, reply);
        if (method === 'DELETE') return this.terminate(request, reply);
        throw new TusRefusal(405, 'METHOD_NOT_ALLOWED', 'POST here needs X-HTTP-Method-Override: PATCH or DELETE.');
      });
    });
  }

  /** The address of a session's append lane. */
  static urlOf(sessionId: string, config: Pick<Config, 'publicUrl' | 'storageSecret'>): string {
    return `${config.publicUrl}${TUS_PATH}/${capabilityOf(sessionId, config.storageSecret)}`;
  }

  private async greet(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    reply.header('tus-resumable', TUS_VERSION);
    if (request.method === 'OPTIONS') return;
    reply.headers(await this.limits.spend(REQUESTS, addressBlock(request.ip)));
    // Ours, not tus': reads that want no header of their own, or browsers would ask before each whether they may send it.
    const ours = request.routeOptions.url?.startsWith(`${TUS_PATH}/:capability/ranges`);
    if (ours && request.method !== 'PATCH') return;
    if (header(request, 'tus-resumable') !== TUS_VERSION) {
      reply.header('tus-version', TUS_VERSION);
      throw new TusRefusal(412, 'TUS_VERSION', `Send Tus-Resumable: ${TUS_VERSION}.`);
    }
  }

  /**
   * Browsers send a request again by themselves, body and all, when it is cut on a connection that had served one before.
   * What arrived of a PATCH would cross the link twice; on a connection of its own it is never repeated.
   */
  private endForBrowsers(request: FastifyRequest, reply: FastifyReply): void {
    if (request.headers['user-agent']?.startsWith('Mozilla/')) reply.header('connection', 'close');
  }

  private options(reply: FastifyReply): FastifyReply {
    return reply
      .code(204)
      .headers({
        'tus-version': TUS_VERSION,
        'tus-extension': TUS_EXTENSIONS,
        'tus-max-size': this.config.maxUploadBytes,
        'tus-checksum-algorithm': CHECKSUM_ALGORITHMS.join(','),
      })
      .send();
  }

  /** Goes on with the user's unfinished upload of the same fingerprint, or begins one. */
  private async create(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const actor = await this.actorOf(request);
    const sizeBytes = bytesOf(header(request, 'upload-length'));
    const metadata = metadataOf(header(request, 'upload-metadata'));
    if (sizeBytes === null) {
      throw new TusRefusal(400, 'UPLOAD_LENGTH', 'Upload-Length must say how many bytes the file has.');
    }
    if (metadata === null) throw new TusRefusal(400, 'UPLOAD_METADATA', 'Upload-Metadata is not what tus says it is.');
    if (sizeBytes > this.config.maxUploadBytes) {
      throw new TusRefusal(413, 'FILE_TOO_LARGE', `A file may have at most ${this.config.maxUploadBytes} bytes.`);
    }
    const text = (...names: string[]) => names.map((name) => metadata.get(name)).find(Boolean) ?? null;
    const channelId = await this.channelOf(actor, text('channel'));
    const fingerprint = text('fingerprint');
    let session = await this.unfinished(actor, channelId, fingerprint, sizeBytes);
    if (!session) {
      await this.limits.spend(SESSIONS, actor.userId);
      session = await this.uploads.create(actor, {
        channelId,
        fileName: text('filename', 'name') ?? 'upload',
        contentType: text('filetype', 'type'),
        title: text('title'),
        description: text('description'),
        sizeBytes,
        fingerprint,
        visibility: 'PRIVATE',
        idempotencyKey: `tus-${randomUUID()}`,
      });
    }
    reply.code(201).header('location', TusIngress.urlOf(session.id, this.config));
    if (header(request, 'content-type') !== BYTES) return this.expiring(reply, session).send();
    try {
      return await this.append(session, 0, request, reply, { status: 201 });
    } catch (error) {
      // Who is refused here begins another upload. So what is wrong with the bytes is told where they are sent again.
      if (refusalOf(error).status === 500) this.logger.error({ err: error }, 'unexpected error');
      this.endOfBody(request.raw, reply);
      const now = (await this.uploads.byId(session.id)) ?? session;
      return this.expiring(reply, now).header('upload-offset', offsetOf(now)).send();
    }
  }

  /** The same file's, into the same channel, by who may still upload there. */
  private async unfinished(
    actor: Actor,
    channelId: string,
    fingerprint: string | null,
    sizeBytes: number,
  ): Promise<UploadSessionRow | null> {
    if (fingerprint === null || !canUpload(await this.channels.roleOf(actor.userId, channelId))) return null;
    const { rows } = await this.uploads.ofUser(actor.userId, { state: 'OPEN', fingerprint }, SAME_FILES);
    return rows.find((row) => row.channelId === channelId && row.sizeBytes === sizeBytes) ?? null;
  }

  private async head(request: FastifyRequest<Addressed>, reply: FastifyReply): Promise<FastifyReply> {
    const session = await this.sessionOf(request);
    await this.writers.evict(session.id, at(prefixOf(session.covered)));
    const now = (await this.uploads.byId(session.id)) ?? session;
    return this.expiring(reply, now)
      .code(200)
      .headers({ 'upload-offset': offsetOf(now), 'upload-length': now.sizeBytes, 'cache-control': 'no-store' })
      .send();
  }

  private async patch(request: FastifyRequest<Addressed>, reply: FastifyReply): Promise<FastifyReply> {
    const session = await this.sessionOf(request);
    checkType(request);
    const offset = bytesOf(header(request, 'upload-offset'));
    if (offset === null) throw new TusRefusal(400, 'UPLOAD_OFFSET', 'Upload-Offset must be a number of bytes.');
    return this.append(session, offset, request, reply, { status: 204 });
  }

  /** What has arrived, as JSON: for polling, so it ends nobody and asks little. */
  private async look(request: FastifyRequest<Addressed>, reply: FastifyReply): Promise<FastifyReply> {
    const session = await this.sessionOf(request);
    const { id, state, sizeBytes, covered } = session;
    const ranges = parseMultirange(covered);
    const writers = state === 'OPEN' ? await this.writers.of(id) : [];
    const answer = {
      state,
      sizeBytes,
      committedBytes: sizeOf(ranges),
      covered: ranges.slice(0, RANGES_SHOWN).map(({ start, end }) => [start, end]),
      writers,
      wanted: wantedRanges(session).map(({ start, end }) => [start, end]),
    };
    return reply.header('cache-control', 'no-store').send(answer);
  }

  private async lookAt(request: FastifyRequest<Addressed>, reply: FastifyReply): Promise<FastifyReply> {
    const session = await this.sessionOf(request);
    const offset = placeIn(session, request.params.offset);
    if (session.state === 'OPEN') await this.writers.evict(session.id, at(offset));
    const now = (await this.uploads.byId(session.id)) ?? session;
    return this.expiring(reply, now)
      .code(200)
      .headers({ 'upload-offset': endOf(now, offset), 'upload-length': now.sizeBytes, 'cache-control': 'no-store' })
      .send();
  }

  private async range(
    request: FastifyRequest<Addressed>,
    reply: FastifyReply,
    place: string | undefined,
  ): Promise<FastifyReply> {
    const session = await this.sessionOf(request);
    checkType(request);
    return this.append(session, placeIn(session, place), request, reply, { status: 204, ours: true });
  }

  private async terminate(request: FastifyRequest<Addressed>, reply: FastifyReply): Promise<FastifyReply> {
    const session = await this.sessionOf(request);
    await this.uploads.cancelSession(session.id);
    const now = await this.uploads.byId(session.id);
    if (now?.state === 'EXPIRED') throw GONE();
    if (now?.state !== 'CANCELLED') {
      throw new TusRefusal(403, 'SESSION_ENDED', 'This upload is complete: delete its video instead.');
    }
    return reply.code(204).send();
  }

  private async append(
    known: UploadSessionRow,
    offset: number,
    request: FastifyRequest,
    reply: FastifyReply,
    // Clients of tus never say that an upload is complete; ours do, with its digest.
    { status, ours = false }: { status: 201 | 204; ours?: boolean },
  ): Promise<FastifyReply> {
    const given = header(request, 'content-length');
    const length = bytesOf(given);
    if (given !== undefined && length === null) {
      throw new TusRefusal(400, 'CONTENT_LENGTH', 'Content-Length must be a number of bytes.');
    }
    if (offset + (length ?? 0) > known.sizeBytes) {
      throw new TusRefusal(413, 'CHUNK_OUT_OF_BOUNDS', 'These bytes go beyond the end of the file.');
    }
    const checksum = this.checksumIn(request, length);
    // Nobody is ended for a request that is refused: what is stored without a hole only grows.
    if (status === 204 && !ours && offset < offsetOf(known)) this.elsewhere(known, reply);
    // A body that tells no length may be anything up to the end of the file.
    const end = length === null && 'transfer-encoding' in request.headers ? known.sizeBytes : offset + (length ?? 0);
    if (known.state === 'OPEN') {
      await this.writers.evict(known.id, { start: offset, end: Math.max(end, offset + 1) });
    }
    const session = (await this.uploads.byId(known.id)) ?? known;
    if (status === 204 && !ours && offset !== offsetOf(session)) this.elsewhere(session, reply);
    if (session.state !== 'OPEN') {
      this.endOfBody(request.raw, reply);
      return reply.code(status).header('upload-offset', session.sizeBytes).send();
    }
    const body = new IncomingBytes(request.raw);
    try {
      const appended = await this.lane.append(session, offset, body, { length, checksum, completes: !ours });
      if (appended.reached - offset >= WORTH_BYTES) this.limits.giveBack(REQUESTS, addressBlock(request.ip));
      if (appended.stop === 'END' && length === null && !request.raw.complete && (await body.any(LAST_MS))) {
        throw new TusRefusal(413, 'CHUNK_OUT_OF_BOUNDS', 'These bytes go beyond the end of the file.');
      }
      return await this.answer(session, offset, request, reply, { status, ours, ...appended });
    } finally {
      body.release();
    }
  }

  private elsewhere(session: UploadSessionRow, reply: FastifyReply): never {
    const stands = offsetOf(session);
    reply.header('upload-offset', stands);
    throw new TusRefusal(409, 'UPLOAD_OFFSET', `The upload stands at ${stands}: ask with HEAD, and go on there.`);
  }

  private async answer(
    session: UploadSessionRow,
    offset: number,
    request: FastifyRequest,
    reply: FastifyReply,
    { status, ours, stop, reached }: Appended & { status: 201 | 204; ours: boolean },
  ): Promise<FastifyReply> {
    if (stop === 'CUT') {
      request.raw.destroy();
      return reply.hijack();
    }
    const now = (await this.uploads.byId(session.id)) ?? session;
    if (stop === 'MISMATCH') {
      throw new TusRefusal(
        CHECKSUM_MISMATCH,
        'CHUNK_DIGEST_MISMATCH',
        'The bytes do not have the checksum sent with them.',
      );
    }
    if (now.state === 'CANCELLED' || now.state === 'EXPIRED') throw GONE();
    if (stop === 'TOO_MANY') {
      throw new TusRefusal(413, 'TOO_MANY_CHUNKS', 'This upload came in too many parts: send longer requests.');
    }
    if (stop === 'BUSY') {
      reply.header('retry-after', '1');
      throw new TusRefusal(503, 'BUSY', 'Too many uploads arrive here at once: try again in a moment.');
    }
    if (stop !== 'END') {
      throw new TusRefusal(423, 'EVICTED', 'Another request goes on at this place: ask with HEAD where it stands.');
    }
    // What was discarded meanwhile is not there any more; a creation may have found more than it sent; and ours skip what
    // is there.
    const stored = endOf(now, offset);
    const offsetNow = status === 201 ? offsetOf(now) : ours ? stored : Math.min(reached, stored);
    return this.expiring(reply, now).code(status).header('upload-offset', offsetNow).send();
  }

  private checksumIn(request: FastifyRequest, length: number | null): Checksum | null {
    const given = header(request, 'upload-checksum');
    if (given === undefined) return null;
    const checksum = checksumOf(given);
    if (!checksum) {
      const offered = CHECKSUM_ALGORITHMS.join(', ');
      throw new TusRefusal(400, 'UPLOAD_CHECKSUM', `Upload-Checksum is one of ${offered}, and the digest in base64.`);
    }
    if (length === null || length > MAX_CHECKED_BYTES) {
      throw new TusRefusal(
        413,
        'CHUNK_TOO_LARGE',
        `With Upload-Checksum, send at most ${MAX_CHECKED_BYTES} bytes at once.`,
      );
    }
    return checksum;
  }

  private async actorOf(request: FastifyRequest): Promise<Actor> {
    const [, token] = /^Bearer (\S+)$/i.exec(header(request, 'authorization') ?? '') ?? [];
    const actor = token && (await this.modules.get(ActorResolver, { strict: false }).resolve(token));
    if (!actor) throw new TusRefusal(401, 'UNAUTHENTICATED', 'Beginning an upload needs Authorization: Bearer TOKEN.');
    return actor;
  }

  /** By id or handle; the user's only one where none is named. */
  private async channelOf(actor: Actor, named: string | null): Promise<string> {
    if (named !== null) return (await this.channels.byHandle(named))?.id ?? decodeId('Channel', named, ['channel']);
    const { rows } = await this.channels.ofUser(actor.userId, 'member', 2);
    if (rows.length === 1 && rows[0]) return rows[0].id;
    throw new TusRefusal(400, 'CHANNEL', 'Upload-Metadata must name the channel: its id or handle.');
  }

  private async sessionOf(request: FastifyRequest<Addressed>): Promise<UploadSessionRow> {
    const id = sessionOf(request.params.capability, this.config.storageSecret);
    const session = id && (await this.uploads.byId(id));
    if (!session) throw new TusRefusal(404, 'NOT_FOUND', 'There is no such upload.');
    if (session.state === 'CANCELLED' || session.state === 'EXPIRED') throw GONE();
    return session;
  }

  private expiring(reply: FastifyReply, session: UploadSessionRow): FastifyReply {
    return session.state === 'OPEN' ? reply.header('upload-expires', session.expiresAt.toUTCString()) : reply;
  }

  private refuse(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
    const { status, code, message, headers } = refusalOf(error);
    const told = toldStock(request, status);
    if (told === 503 || told !== status) reply.header('retry-after', '1');
    reply.headers(headers ?? {});
    if (status === 500) this.logger.error({ err: error }, 'unexpected error');
    this.endOfBody(request.raw, reply);
    reply.code(told).type('application/json').send({ code, message });
  }

  /**
   * A body that nobody wants is read and dropped where it is short, or its sender would see a reset instead of the answer.
   * Whoever sends it slowly is not heard to the end.
   */
  private endOfBody(request: IncomingMessage, reply: FastifyReply): void {
    if (request.complete || request.destroyed) return;
    if (Number(request.headers['content-length']) <= UNWANTED_BYTES) request.resume();
    else reply.header('connection', 'close');
    const timer = setTimeout(() => request.destroy(), this.unwantedMs);
    request.once('close', () => clearTimeout(timer));
  }
}

interface Addressed {
  Params: { capability: string; offset: string };
}

function header(request: FastifyRequest, name: string): string | undefined {
  const values = request.raw.headersDistinct[name];
  return values?.length === 1 ? values[0] : undefined;
}

function checkType(request: FastifyRequest): void {
  if (header(request, 'content-type') === BYTES) return;
  throw new TusRefusal(415, 'CONTENT_TYPE', `The Content-Type of a PATCH is ${BYTES}.`);
}

function placeIn(session: UploadSessionRow, offset: string | undefined): number {
  const place = bytesOf(offset);
  if (place !== null && place < session.sizeBytes) return place;
  throw new TusRefusal(400, 'UPLOAD_OFFSET', 'There is no such place in the file.');
}

function at(offset: number): { start: number; end: number } {
  return { start: offset, end: offset + 1 };
}

/**
 * Stock clients try again after 423, 409 and what is no 4xx; but of a HEAD they take everything except 423 to mean that
 * there is no such upload, and begin the file anew.
 */
function toldStock({ method, routeOptions: { url } }: FastifyRequest, status: number): number {
  if (url !== TUS_PATH && url !== `${TUS_PATH}/:capability`) return status;
  if (method === 'HEAD') return status === 429 || status >= 500 ? 423 : status;
  return status === 429 ? 503 : status;
}

/** Where what is stored without a hole from `offset` on ends. */
function endOf(session: UploadSessionRow, offset: number): number {
  if (session.state !== 'OPEN') return session.sizeBytes;
  const range = parseMultirange(session.covered).find(({ start, end }) => start <= offset && offset <= end);
  return range?.end ?? offset;
}

/** What is stored of an upload that is whole is all of it, also while it is put together. */
function offsetOf(session: UploadSessionRow): number {
  return session.state === 'OPEN' ? prefixOf(session.covered) : session.sizeBytes;
}

const STATUS_OF: Record<string, number> = {
  NOT_FOUND: 404,
  FILE_TOO_LARGE: 413,
  QUOTA_EXCEEDED: 413,
  SESSION_ENDED: 410,
  UNSUPPORTED_TYPE: 415,
  TOO_MANY_OPEN_UPLOADS: 403,
};

function refusalOf(error: unknown): {
  status: number;
  code: string;
  message: string;
  headers?: Record<string, string>;
} {
  if (error instanceof TusRefusal) return error;
  if (error instanceof DomainError)
    return { status: STATUS_OF[error.code] ?? 400, code: error.code, message: error.message };
  if (error instanceof Refusal) {
    const { statusCode = 403, headers } = error as { statusCode?: number; headers?: Record<string, string> };
    return { status: statusCode, code: error.code, message: error.message, headers };
  }
  if (error instanceof StorageError && error.code === 'STORAGE_FULL') {
    return { status: 507, code: error.code, message: 'The store has no space left: try again later.' };
  }
  return { status: 500, code: 'INTERNAL', message: 'Something went wrong on our side: try again.' };
}
