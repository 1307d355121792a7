import { Controller, Get, Inject, NotFoundException, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { CONFIG, type Config } from '../config/index.js';
import { mayReadMetrics } from './metrics-access.js';
import { Scrapes } from './scrapes.js';

@Controller()
export class MetricsController {
  constructor(
    @Inject(CONFIG) private readonly config: Config,
    private readonly scrapes: Scrapes,
  ) {}

  /** For Prometheus. To everybody else it is as if there were no such address. */
  @Get('metrics')
  async read(@Req() { raw }: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    if (!mayReadMetrics(this.config.metricsToken, raw.socket.remoteAddress, raw.headers)) {
      throw new NotFoundException('Cannot GET /metrics');
    }
    const text = await this.scrapes.text();
    await reply.header('cache-control', 'no-store').header('content-type', this.scrapes.contentType).send(text);
  }
}
