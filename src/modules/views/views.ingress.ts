import { Inject, Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost, ModuleRef } from '@nestjs/core';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { ActorResolver } from '../../common/access/index.js';
import { CONFIG, type Config } from '../../common/config/index.js';
import { isUuid, parseId } from '../../common/graphql/index.js';
import { addressBlock, allowsOrigin } from '../../common/http/index.js';
import { VideosService } from '../videos/index.js';
import { ViewStore } from './view-store.js';
import { viewerOf, viewersKey } from './viewer.js';
import { beacons } from './views.metrics.js';

/** For the rest of a body that nobody wants, so that its sender comes to reading the answer. */
const UNWANTED_MS = 10_000;

interface OfVideo {
  Params: { videoId: string };
}

/**
 * `POST /views/{video's id}`: what a player says, once, of a video that is being watched. 204 says that it is counted, or was
 * within this hour, or will not be; all else is in docs/errors.md. A scope of Fastify's own and not a controller: a body, of
 * whatever type, is not looked at.
 */
@Injectable()
export class ViewsIngress implements OnModuleInit {
  private readonly logger = new Logger(ViewsIngress.name);
  private readonly key: Buffer;

  constructor(
    private readonly host: HttpAdapterHost,
    private readonly modules: ModuleRef,
    private readonly videos: VideosService,
    private readonly store: ViewStore,
    @Inject(CONFIG) private readonly config: Config,
  ) {
    this.key = viewersKey(config.playbackSecret);
  }

  onModuleInit(): void {
    if (this.config.role === 'worker' || !this.host.httpAdapter) return;
    const server: FastifyInstance = this.host.httpAdapter.getInstance();
    server.register(async (scope) => {
      scope.removeAllContentTypeParsers();
      scope.addContentTypeParser('*', (_request, _body, done) => done(null));
      // One that is no type at all would be refused before any parser is asked.
      scope.addHook('onRequest', async ({ headers }) => {
        delete headers['content-type'];
      });
      scope.addHook('onSend', async (request, reply) => this.leaveBody(request, reply));
      scope.setErrorHandler((error, _request, reply) => {
        this.logger.error({ err: error }, 'unexpected error');
        this.refuse(reply, 500, 'INTERNAL', 'Something went wrong on our side: try again.');
      });
      const options = { config: { isOften: true } };
      scope.post<OfVideo>('/views/:videoId', options, (request, reply) => this.view(request, reply));
    });
  }

  private async view(request: FastifyRequest<OfVideo>, reply: FastifyReply): Promise<FastifyReply> {
    // It needs no preflight, so whoever opens a page anywhere could be made a viewer of what they never saw.
    if (!allowsOrigin(this.config, request.headers.origin)) {
      return this.refuse(reply, 403, 'ORIGIN_NOT_ALLOWED', 'Pages of this origin count no views here.');
    }
    const videoId = uuidOf(request.params.videoId);
    const [, token] = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? '') ?? [];
    const actor = token ? await this.modules.get(ActorResolver, { strict: false }).resolve(token) : null;
    // With a token that is no good it would count as somebody else's.
    if (token && !actor) return this.refuse(reply, 401, 'UNAUTHENTICATED', 'Get a new token, or leave it out.');
    const video =
      videoId && ((await this.videos.visible(videoId, null)) ?? (actor && (await this.videos.visible(videoId, actor))));
    if (!video) return this.refuse(reply, 404, 'NOT_FOUND', 'There is nothing here to watch.');
    const userAgent = request.headers['user-agent'] ?? '';
    const watcher = actor ? { userId: actor.userId } : { block: addressBlock(request.ip), userAgent };
    try {
      beacons.inc({ outcome: await this.store.take(videoId, viewerOf(this.key, videoId, watcher)) });
    } catch (error) {
      beacons.inc({ outcome: 'unavailable' });
      this.logger.debug(`a view was not taken: ${(error as Error).message}`);
      reply.header('retry-after', '2');
      return this.refuse(reply, 503, 'VIEW_NOT_TAKEN', 'Not counted: say it again.');
    }
    return reply.code(204).send();
  }

  private refuse(reply: FastifyReply, status: number, code: string, message: string): FastifyReply {
    return reply.code(status).type('application/json').send({ code, message });
  }

  /** One that is still coming is not waited for, and not for ever thrown away. */
  private leaveBody({ raw }: FastifyRequest, reply: FastifyReply): void {
    if (raw.complete || raw.destroyed) return;
    raw.resume();
    reply.header('connection', 'close');
    const timer = setTimeout(() => raw.destroy(), UNWANTED_MS);
    raw.once('close', () => clearTimeout(timer));
  }
}

/** Of an id as the API has it, or as addresses of media do. */
function uuidOf(id: string): string | null {
  if (isUuid(id)) return id;
  const known = parseId(id);
  return known?.type === 'Video' ? known.uuid : null;
}
