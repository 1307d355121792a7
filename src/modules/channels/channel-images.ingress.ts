import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { Inject, Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost, ModuleRef } from '@nestjs/core';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type Actor, ActorResolver } from '../../common/access/index.js';
import { CONFIG, type Config } from '../../common/config/index.js';
import { DomainError, NotFound, Refusal } from '../../common/errors/index.js';
import { decodeId } from '../../common/graphql/index.js';
import { noteBodyBytes } from '../../common/http/index.js';
import { type RateLimit, RateLimits } from '../../common/rate-limits/index.js';
import { StorageError, within } from '../storage/index.js';
import { IMAGE_KINDS, type ImageKind } from './channel-image-rows.js';
import { ChannelImages, IMAGES_PATH } from './channel-images.service.js';
import { ImageReplaced, ImageTooLarge, ImageTooSlow, ImageUnreadable } from './channels.errors.js';

const MOST_BYTES = 5 * 1024 * 1024;
const CHANGES: RateLimit = { name: 'channel-images', points: 60, seconds: 3_600 };
/** For the whole body: 5 MiB in as long is 140 kbit/s. */
const BODY_MS = 5 * 60_000;
/** A link that cuts for some seconds is no reason; one that says nothing for as long is gone. */
const IDLE_MS = 30_000;
/** Bodies are in memory while they come. */
const MOST_AT_ONCE = 16;
const MOST_AT_ONCE_BY_ONE = 2;
/** For the rest of a body that nobody wants, so that its sender comes to reading the answer. */
const UNWANTED_MS = 10_000;
/** For the worker; who waits in vain is told that it is on its way. */
const MADE_MS = 20_000;
/** Public, and another one has another address. */
const IMMUTABLE = 'public, max-age=31536000, immutable';
const FILE = /^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.jpg$/;
const STATUS_OF: Record<string, number> = {
  NOT_FOUND: 404,
  NOT_AN_EDITOR: 403,
  IMAGE_TOO_LARGE: 413,
  IMAGE_REPLACED: 409,
  IMAGE_TOO_SLOW: 408,
  UNAUTHENTICATED: 401,
  RATE_LIMITED: 429,
  STORAGE_UNAVAILABLE: 503,
};

interface OfChannel {
  Params: { channelId: string; kind: string };
}

/**
 * `PUT /images/channels/{channel's id}/{avatar|banner}` with an access token and the file as body, DELETE likewise, and
 * `GET /images/{id}.jpg` for everybody. A scope of Fastify's own and not a controller: no body parser stands between.
 */
@Injectable()
export class ChannelImagesIngress implements OnModuleInit {
  private readonly logger = new Logger(ChannelImagesIngress.name);
  /** Whose bodies are coming. */
  private readonly senders: string[] = [];
  /** Replaced by tests, which have no half a minute. */
  idleMs = IDLE_MS;

  constructor(
    private readonly host: HttpAdapterHost,
    private readonly modules: ModuleRef,
    private readonly images: ChannelImages,
    private readonly limits: RateLimits,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  onModuleInit(): void {
    if (this.config.role === 'worker' || !this.host.httpAdapter) return;
    const server: FastifyInstance = this.host.httpAdapter.getInstance();
    server.register(async (scope) => {
      scope.removeAllContentTypeParsers();
      scope.addContentTypeParser('*', (_request, _body, done) => done(null));
      scope.setErrorHandler((error, request, reply) => this.refuse(error, request, reply));
      const path = `${IMAGES_PATH}/channels/:channelId/:kind`;
      scope.put<OfChannel>(path, (request, reply) => this.put(request, reply));
      scope.delete<OfChannel>(path, (request, reply) => this.delete(request, reply));
      scope.get<{ Params: { file: string } }>(`${IMAGES_PATH}/:file`, (request, reply) => this.get(request, reply));
    });
  }

  private async put(request: FastifyRequest<OfChannel>, reply: FastifyReply): Promise<FastifyReply> {
    const { actor, channelId, kind } = await this.asked(request, reply);
    const file = await this.bodyOf(request.raw, actor.userId);
    const imageId = await this.images.take(actor, channelId, kind, file);
    const gone = new AbortController();
    reply.raw.once('close', () => gone.abort());
    const state = await this.images.settled(imageId, MADE_MS, gone.signal);
    if (state === 'FAILED') throw new ImageUnreadable();
    if (state === 'GONE') throw new ImageReplaced();
    return reply.code(state === 'SHOWN' ? 200 : 202).send({ state, url: this.images.urlOf(imageId) });
  }

  private async delete(request: FastifyRequest<OfChannel>, reply: FastifyReply): Promise<FastifyReply> {
    const { actor, channelId, kind } = await this.asked(request, reply);
    await this.images.remove(actor, channelId, kind);
    return reply.code(204).send();
  }

  private async get(request: FastifyRequest<{ Params: { file: string } }>, reply: FastifyReply): Promise<FastifyReply> {
    const [, imageId] = FILE.exec(request.params.file) ?? [];
    const image = imageId && (await this.images.read(imageId));
    if (!image) return reply.code(404).type('text/plain').send('There is no such image.\n');
    const etag = `"${imageId}"`;
    reply.headers({
      etag,
      'cache-control': IMMUTABLE,
      'cross-origin-resource-policy': 'cross-origin',
      'content-security-policy': "default-src 'none'; sandbox",
    });
    if (request.headers['if-none-match'] === etag) return reply.code(304).send();
    reply.type('image/jpeg').header('content-length', image.sizeBytes);
    // Fastify leaves the length as it is where an empty stream answers a HEAD.
    return reply.send(request.method === 'HEAD' ? Readable.from([]) : await image.open());
  }

  /** Who asks, and for what. @throws Refusal, DomainError */
  private async asked(
    request: FastifyRequest<OfChannel>,
    reply: FastifyReply,
  ): Promise<{ actor: Actor; channelId: string; kind: ImageKind }> {
    const [, token] = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? '') ?? [];
    const actor = token && (await this.modules.get(ActorResolver, { strict: false }).resolve(token));
    if (!actor) throw new Refusal('UNAUTHENTICATED', 'Sign in first: Authorization: Bearer TOKEN.');
    const kind = IMAGE_KINDS.find((one) => one.toLowerCase() === request.params.kind);
    if (!kind) throw new NotFound('kind of image');
    const channelId = decodeId('Channel', request.params.channelId, ['channelId']);
    await this.images.checkEditor(actor, channelId);
    reply.headers(await this.limits.spend(CHANGES, actor.userId));
    return { actor, channelId, kind };
  }

  /** The whole body, within bounds of bytes and time. @throws ImageTooLarge, ImageTooSlow, Refusal */
  private async bodyOf(request: IncomingMessage, sender: string): Promise<Buffer> {
    if (Number(request.headers['content-length']) > MOST_BYTES) throw new ImageTooLarge(MOST_BYTES);
    const ofSender = this.senders.filter((one) => one === sender);
    if (this.senders.length >= MOST_AT_ONCE || ofSender.length >= MOST_AT_ONCE_BY_ONE) {
      throw new Refusal('RATE_LIMITED', 'Too many pictures come at once. Wait, then try again.');
    }
    this.senders.push(sender);
    const deadline = performance.now() + BODY_MS;
    // What is left unread is for whoever answers.
    const arriving = request.iterator({ destroyOnReturn: false });
    const parts: Buffer[] = [];
    let length = 0;
    try {
      for (;;) {
        const patience = Math.min(this.idleMs, deadline - performance.now());
        const next = await within(arriving.next(), patience, () => new ImageTooSlow());
        if (next.done) return Buffer.concat(parts, length);
        noteBodyBytes(next.value.length);
        length += next.value.length;
        if (length > MOST_BYTES) throw new ImageTooLarge(MOST_BYTES);
        parts.push(next.value);
      }
    } finally {
      this.senders.splice(this.senders.indexOf(sender), 1);
      // Not awaited: after a time-out it would wait for the very part that does not come.
      void arriving.return?.();
    }
  }

  private refuse(error: unknown, { raw }: FastifyRequest, reply: FastifyReply): void {
    // Cut in its midst: nobody is there to be told.
    if (raw.destroyed && !raw.complete) return void reply.hijack();
    const { status, code, message, headers } = refusalOf(error);
    if (status === 500) this.logger.error({ err: error }, 'unexpected error');
    if (!raw.complete && !raw.destroyed) {
      raw.resume();
      reply.header('connection', 'close');
      const timer = setTimeout(() => raw.destroy(), UNWANTED_MS);
      raw.once('close', () => clearTimeout(timer));
    }
    reply.headers(headers ?? {});
    reply.code(status).type('application/json').send({ code, message });
  }
}

function refusalOf(error: unknown): {
  status: number;
  code: string;
  message: string;
  headers?: Record<string, string>;
} {
  if (error instanceof DomainError)
    return { status: STATUS_OF[error.code] ?? 422, code: error.code, message: error.message };
  if (error instanceof Refusal) {
    const { headers } = error as { headers?: Record<string, string> };
    return { status: STATUS_OF[error.code] ?? 403, code: error.code, message: error.message, headers };
  }
  if (error instanceof StorageError && error.code === 'STORAGE_FULL') {
    return { status: 507, code: error.code, message: 'The store has no space left: try again later.' };
  }
  return { status: 500, code: 'INTERNAL', message: 'Something went wrong on our side: try again.' };
}
