import { setTimeout as pause } from 'node:timers/promises';
import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { CONFIG, type Config } from '../config/index.js';
import { isSignedAs, signAs } from './doctor-signature.js';

const NONCE = /^[\w-]{20,64}$/;
/** Between the two events of a stream: one that a proxy holds back comes with the next. */
export const EVENT_GAP_MS = 1_500;

/** What a request looked like when it came here. */
export interface SeenRequest {
  /** Proof that this is the installation that was asked for. */
  readonly proof: string;
  /** How many addresses away the client is taken to be: 0 is whoever connected, 1 the last of X-Forwarded-For. */
  readonly clientHop: number;
  readonly forwardedFor: string | null;
}

/**
 * What `npm run doctor` asks through PUBLIC_URL, to see what stands between browsers and this process: `GET /doctor`,
 * `GET /doctor/events` (two events, some time apart) and `PUT /doctor/body` (answers at the first byte). For everybody
 * else there is nothing here.
 */
@Injectable()
export class DoctorEndpoints implements OnModuleInit {
  constructor(
    @Inject(CONFIG) private readonly config: Config,
    private readonly host: HttpAdapterHost,
  ) {}

  onModuleInit(): void {
    const server: FastifyInstance | undefined = this.host.httpAdapter?.getInstance();
    server?.register(async (scope) => {
      scope.removeAllContentTypeParsers();
      scope.addContentTypeParser('*', (_request, _body, done) => done(null));
      scope.addHook('onRequest', async (request, reply) => {
        const { nonce = '', signature = '' } = request.query as Record<string, string>;
        const known = NONCE.test(nonce) && isSignedAs('doctor', nonce, signature, this.config.tokenSecret);
        if (!known) return reply.status(404).send({ message: 'There is nothing here.' });
      });
      scope.get('/doctor', async (request) => this.seen(request));
      scope.get('/doctor/events', async (request, reply) => this.events(request, reply));
      scope.put('/doctor/body', async (request, reply) => {
        await new Promise((resolve) => request.raw.once('readable', resolve).once('close', resolve));
        return reply.header('connection', 'close').send(this.seen(request));
      });
    });
  }

  private seen(request: FastifyRequest): SeenRequest {
    const { nonce } = request.query as { nonce: string };
    const forwarded = request.headers['x-forwarded-for'];
    return {
      proof: signAs('server', nonce, this.config.tokenSecret),
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
    raw.write(`event: first\ndata: {}\n\n`);
    await pause(EVENT_GAP_MS);
    raw.end(`event: second\ndata: {}\n\n`);
  }
}
