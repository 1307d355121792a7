import { Controller, Inject, Logger, Param, Post, Req, Res } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { RouteConfig } from '@nestjs/platform-fastify';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Actor, ActorResolver } from '../../common/access/index.js';
import { CONFIG, type Config } from '../../common/config/index.js';
import { parseId } from '../../common/graphql/index.js';
import { addressBlock } from '../../common/http/index.js';
import { Recent } from '../../common/recent/index.js';
import { VideosService } from '../videos/index.js';
import { ViewStore } from './view-store.js';
import { viewerOf, viewersKey } from './viewer.js';
import { beacons } from './views.metrics.js';

/** How old the answer to "may everybody watch this" can be. */
const PUBLIC_LIFE_MS = 1_000;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * `POST /views/{video's id}`: what a player says, once, of a video that is being watched. 204 says that it is counted, or was
 * within this hour, or will not be; 401 that the token is no good, with which it would count as somebody else's; 503 that it may
 * be said again. A body is not looked at.
 */
@Controller('views')
export class ViewsController {
  private readonly logger = new Logger(ViewsController.name);
  private readonly key: Buffer;
  private readonly openToAll = new Recent(
    PUBLIC_LIFE_MS,
    async (videoId) => (await this.videos.visible(videoId, null)) !== null,
  );

  constructor(
    private readonly videos: VideosService,
    private readonly store: ViewStore,
    private readonly modules: ModuleRef,
    @Inject(CONFIG) config: Config,
  ) {
    this.key = viewersKey(config.playbackSecret);
  }

  @Post(':videoId')
  @RouteConfig({ isOften: true })
  async view(@Param('videoId') id: string, @Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    const videoId = uuidOf(id);
    const [, token] = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? '') ?? [];
    const actor = token ? await this.modules.get(ActorResolver, { strict: false }).resolve(token) : null;
    if (token && !actor) return void reply.code(401).type('text/plain').send('Get a new token, or leave it out.\n');
    if (!videoId || !(await this.mayWatch(videoId, actor))) {
      return void reply.code(404).type('text/plain').send('There is nothing here to watch.\n');
    }
    const userAgent = request.headers['user-agent'] ?? '';
    const watcher = actor ? { userId: actor.userId } : { block: addressBlock(request.ip), userAgent };
    try {
      beacons.inc({ outcome: await this.store.take(videoId, viewerOf(this.key, videoId, watcher)) });
    } catch (error) {
      beacons.inc({ outcome: 'unavailable' });
      this.logger.debug(`a view was not taken: ${(error as Error).message}`);
      return void reply.code(503).header('retry-after', '2').type('text/plain').send('Not counted: say it again.\n');
    }
    await reply.code(204).send();
  }

  private async mayWatch(videoId: string, actor: Actor | null): Promise<boolean> {
    return (
      (await this.openToAll.get(videoId)) || (actor !== null && (await this.videos.visible(videoId, actor)) !== null)
    );
  }
}

/** Of an id as the API has it, or as addresses of media do. */
function uuidOf(id: string): string | null {
  if (UUID.test(id)) return id;
  const known = parseId(id);
  return known?.type === 'Video' ? known.uuid : null;
}
