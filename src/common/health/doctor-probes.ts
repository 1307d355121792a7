import { setTimeout as pause } from 'node:timers/promises';
import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { CONFIG, type Config } from '../config/index.js';
import { proofOf, readProbe } from './doctor-signature.js';

/** Between the events of a stream: one that a proxy holds back comes with the next. */
export const EVENT_GAP_MS = 1_000;
/** Proxies let through at once what comes with the head of an answer: it is the second that may come with the third. */
const EVENTS = 3;

/** What a request looked like when it came here. */
export interface SeenRequest {
  /** That this is the installation that was asked for. */
  readonly proof: string;
  /** How many addresses away the client is taken to be: 0 is whoever connected, 1 the last of X-Forwarded-For. */
  readonly clientHop: number;
  readonly forwardedFor: string | null;
}

/**
 * Answers the probes that `npm run doctor` sends through PUBLIC_URL, to see what stands between browsers and this
 * process. They come on the paths that matter, since a proxy may treat each in its own way, and are told from others by
 * a signed header: `seen` at once, `body` at the first byte, `events` as three events some time apart.
 */
@Injectable()
export class DoctorProbes implements OnModuleInit {
  constructor(
    @Inject(CONFIG) private readonly config: Config,
    private readonly host: HttpAdapterHost,
  ) {}

  onModuleInit(): void {
    const server: FastifyInstance | undefined = this.host.httpAdapter?.getInstance();
    server?.addHook('onRequest', async (request, reply) => {
      const header = request.headers['x-sluice-doctor'];
      const probe = typeof header === 'string' ? readProbe(header, this.config.tokenSecret) : null;
      if (!probe) return;
      if (probe.kind === 'events') return this.events(request, reply);
      if (probe.kind === 'body') {
        await new Promise((resolve) => request.raw.once('readable', resolve).once('close', resolve));
        reply.header('connection', 'close');
      }
      return reply.send(this.seen(request, probe.nonce));
    });
  }

  private seen(request: FastifyRequest, nonce: string): SeenRequest {
    const forwarded = request.headers['x-forwarded-for'];
    return {
      proof: proofOf(nonce, this.config.tokenSecret),
      clientHop: (request.ips?.length ?? 1) - 1,
      forwardedFor: forwarded === undefined ? null : String(forwarded),
    };
  }

  /** With the headers of the real streams. */
  private async events(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    reply.hijack();
    const { raw } = reply;
    raw.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache',
      'x-accel-buffering': 'no',
      'x-request-id': request.id,
    });
    for (let sent = 1; sent < EVENTS; sent++) {
      raw.write('event: probe\ndata: {}\n\n');
      await pause(EVENT_GAP_MS);
    }
    raw.end('event: probe\ndata: {}\n\n');
  }
}
