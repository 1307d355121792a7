import { Controller, Get, HttpStatus, Param, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { PlaybackService } from './playback.service.js';

/**
 * `/media-access/{token}/{videoId}/{run}`: what an edge asks before it serves bytes that it keeps. 204, or 403 for every
 * reason why not, as nginx's auth_request and other proxies' forward auth want it. One indexed query at most, and none
 * within the life of the answer before. Who may ask learns what /media would tell as well.
 */
@Controller('media-access')
export class MediaAccessController {
  constructor(private readonly playback: PlaybackService) {}

  @Get(':token/:videoId/:run')
  async ask(
    @Param('token') token: string,
    @Param('videoId') videoId: string,
    @Param('run') run: string,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const video = await this.playback.open(token, videoId);
    const isOpen = video !== null && run === String(video.run);
    await reply.code(isOpen ? HttpStatus.NO_CONTENT : HttpStatus.FORBIDDEN).send();
  }
}
