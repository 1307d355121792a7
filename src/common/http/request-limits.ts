import { Injectable, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type RateLimit, RateLimits, TooOften } from '../rate-limits/index.js';
import { addressBlock } from './address-block.js';

/**
 * Of an address: 500 a second, where a page with all that belongs to it is some fifteen. A school of 500 may open one at the
 * same time.
 */
export const REQUESTS: RateLimit = { name: 'requests', points: 30_000, seconds: 60, parcel: 50 };
/** Of an address: 500 who watch ask for some 1,000 a second while they begin, and for 250 later. */
const MEDIA: RateLimit = { name: 'media', points: 120_000, seconds: 60, parcel: 200 };

/** By the beginning of the route's pattern; what is not named here, a new route say, is one of REQUESTS. */
const BY_ROUTE: readonly (readonly [prefix: string, limit: RateLimit | null])[] = [
  // Who asks stands beside the server, every few seconds: an answer that is missing is an alarm.
  ['/livez', null],
  ['/readyz', null],
  ['/metrics', null],
  // Counts for itself: requests that bring much cost nothing there, and its clients want other answers.
  ['/tus', null],
  ['/media', MEDIA],
  ['/media-access', MEDIA],
];

/** @param route the pattern, as Fastify knows it; undefined where there is none */
export function limitOf(route = ''): RateLimit | null {
  const [, limit] = BY_ROUTE.find(([prefix]) => route === prefix || route.startsWith(`${prefix}/`)) ?? ['', REQUESTS];
  return limit;
}

/**
 * Bounds how often one address asks, over all routes there are: what a request is for and what else it costs is counted where
 * that is known. By the route that was found, never by the address as it was written: there are many ways to write one.
 */
@Injectable()
export class RequestLimits implements OnModuleInit {
  constructor(
    private readonly host: HttpAdapterHost,
    private readonly limits: RateLimits,
  ) {}

  onModuleInit(): void {
    const server: FastifyInstance | undefined = this.host.httpAdapter?.getInstance();
    // Behind every onRequest: by then CORS has said who may read the answer.
    server?.addHook('preParsing', (request, reply) => this.count(request, reply));
  }

  private async count(request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    const route = request.routeOptions.url;
    const limit = limitOf(route);
    if (!limit) return;
    const isGraphql = route?.startsWith('/graphql');
    try {
      const { headers } = await this.limits.draw(limit, addressBlock(request.ip));
      // Of answers that nobody keeps for others.
      if (isGraphql) reply.headers(headers);
    } catch (error) {
      if (!(error instanceof TooOften)) throw error;
      const { code, message, details, statusCode, headers } = error;
      reply.code(statusCode).headers(headers);
      return reply.send(
        isGraphql ? { errors: [{ message, extensions: { code, ...details } }] } : { code, message, ...details },
      );
    }
  }
}
