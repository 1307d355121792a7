import type { ServerResponse } from 'node:http';
import { type BeforeApplicationShutdown, Inject, Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type ExecutionResult, GraphQLError } from 'graphql';
import { createHandler } from 'graphql-sse';
import { LoginSessions } from '../access/index.js';
import { CONFIG, type Config } from '../config/index.js';
import { addressBlock } from '../http/index.js';
import { TooOften } from '../rate-limits/index.js';
import { ConnectionLimits, raised } from './connection-limits.js';
import { liveConnections } from './graphql-metrics.js';
import type { OperationContext } from './operation-context.js';
import { type OperationRequest, Operations } from './operations.js';
import type { Outlet, SharedResult } from './shared-streams.js';

const PATH = '/graphql/stream';
const STREAMS_PER_USER = 20;
const STREAMS_PER_ADDRESS = 20;
/** A client that takes nothing for so long is gone, or should come back. */
const STALLED_AFTER_MS = 24_000;

/** What waits to be sent to one client. */
const MAX_QUEUED_BYTES = 256 * 1024;

/** One request, and how far its client has read: graphql-sse queues without bound, so an event waits for the one before. */
class Stream {
  /** Call it once the head of the answer is written, so that events may follow, or never will be. */
  hasHead: (raw: ServerResponse | null) => void = () => {};
  readonly head = new Promise<ServerResponse | null>((resolve) => {
    this.hasHead = resolve;
  });
  private taken: Promise<void> = Promise.resolve();
  private resolveTaken = () => {};
  /** The login session has ended: maybe before there was anything to end. */
  isOver = false;

  constructor(
    readonly context: OperationContext,
    readonly reply: FastifyReply,
  ) {}

  async mayPush(): Promise<void> {
    await this.taken;
    this.taken = new Promise((resolve) => {
      this.resolveTaken = resolve;
    });
  }

  pushed(): void {
    this.resolveTaken();
  }
}

/** Events that are the same for many go to the response as they are. */
class StreamOutlet implements Outlet {
  private raw: ServerResponse | null = null;

  constructor(private readonly stream: Stream) {}

  write(result: SharedResult, written?: () => void): void {
    const { raw } = this;
    if (!raw) void this.open(result, written);
    else if (raw.destroyed || raw.writableEnded) written?.();
    else if (raw.writableLength > MAX_QUEUED_BYTES) {
      raw.destroy();
      written?.();
    } else raw.write(result.frame, () => written?.());
  }

  /** What comes before the head of the answer waits for it, in order. */
  private async open(result: SharedResult, written?: () => void): Promise<void> {
    this.raw = await this.stream.head;
    if (this.raw) this.write(result, written);
    else written?.();
  }
}

/**
 * GraphQL subscriptions as server-sent events: one request a subscription (the "distinct connections" mode of the
 * graphql-sse protocol), the token in the Authorization header. Its other mode keeps reservations in one process's
 * memory and is refused.
 */
@Injectable()
export class EventStreams implements OnModuleInit, BeforeApplicationShutdown {
  private readonly logger = new Logger(EventStreams.name);
  private readonly limits = new ConnectionLimits();
  private readonly open = new Set<FastifyReply>();
  private readonly handle = createHandler<Stream>({
    authenticate: () => '',
    onSubscribe: (request, params) => this.start(params as OperationRequest, request.raw),
    onNext: (_context, request) => request.raw.mayPush(),
  });

  constructor(
    @Inject(CONFIG) private readonly config: Config,
    private readonly adapterHost: HttpAdapterHost,
    private readonly operations: Operations,
    private readonly sessions: LoginSessions,
  ) {}

  onModuleInit(): void {
    const fastify: FastifyInstance | undefined = this.adapterHost.httpAdapter?.getInstance();
    fastify?.route({
      method: ['GET', 'POST', 'PUT', 'DELETE'],
      url: PATH,
      handler: (request, reply) => this.answer(request, reply),
    });
  }

  private async answer(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    if (request.method !== 'GET' && request.method !== 'POST') {
      const message = 'Each subscription is a request of its own here: GET or POST, and nothing to reserve.';
      return refuse(reply.header('allow', 'GET, POST'), 405, 'BAD_REQUEST', message);
    }
    if (!request.headers.accept?.includes('text/event-stream')) {
      return refuse(reply, 406, 'BAD_REQUEST', 'Accept must be text/event-stream.');
    }
    const { ip, headers } = request;
    const { authorization, 'user-agent': userAgent } = headers;
    const context = await this.operations.contextOf({ authorization, ip, userAgent, req: request });
    if (context.badToken) return refuse(reply, 401, 'UNAUTHENTICATED', 'The access token is not valid, or no longer.');
    const { actor } = context;
    const place = actor
      ? this.limits.take(`user ${actor.userId}`, STREAMS_PER_USER)
      : this.limits.take(`address ${addressBlock(ip)}`, raised(STREAMS_PER_ADDRESS, this.config.rateLimitFactor));
    if (!place) return refuse(reply, 429, 'RATE_LIMITED', 'Too many streams are open.');
    let unwatch = () => {};
    try {
      this.operations.check(context);
      const stream = new Stream(context, reply);
      const over = () => {
        stream.isOver = true;
        endSession(reply);
      };
      if (actor) unwatch = this.sessions.watch(actor.sessionId, over);
      await this.run(request, reply, stream);
    } catch (error) {
      // Ahead of the answer's head: what comes too often later is the stream's last event.
      if (!(error instanceof TooOften)) throw error;
      await refuse(reply.headers(error.headers), error.statusCode, error.code, error.message, error.details);
    } finally {
      unwatch();
      place();
    }
  }

  private async run(request: FastifyRequest, reply: FastifyReply, stream: Stream): Promise<void> {
    const [body, init] = await this.handle({
      method: request.method,
      url: request.url,
      headers: { get: (name) => (name === 'accept' ? 'text/event-stream' : headerOf(request, name)) },
      body: () => (request.body ?? null) as Record<string, unknown> | null,
      raw: stream,
      context: undefined,
    });
    if (!body || typeof body === 'string') {
      for (const [name, value] of Object.entries(init.headers ?? {})) reply.header(name, value);
      return void (await reply.status(init.status).send(body ?? undefined));
    }
    reply.hijack();
    const { raw } = reply;
    raw.writeHead(init.status, {
      ...(reply.getHeaders() as Record<string, string>),
      ...init.headers,
      // A proxy that buffers would keep events back.
      'x-accel-buffering': 'no',
    });
    this.open.add(reply);
    liveConnections.inc({ transport: 'sse' });
    const closed = () => {
      stream.pushed();
      void body.return(undefined);
    };
    raw.once('close', closed);
    try {
      if (stream.isOver) return endSession(reply);
      stream.hasHead(raw);
      for await (const message of body) {
        if (!(await written(reply, message))) break;
        if (message.startsWith('event: next')) stream.pushed();
      }
    } catch (error) {
      this.logger.error({ err: error }, 'stream ended after an unexpected error');
    } finally {
      stream.hasHead(null);
      raw.off('close', closed);
      closed();
      this.open.delete(reply);
      liveConnections.dec({ transport: 'sse' });
      raw.end();
    }
  }

  private async start(request: OperationRequest, stream: Stream): Promise<AsyncIterable<ExecutionResult>> {
    const { context, reply } = stream;
    const prepared = await this.operations.prepare(request, context);
    if (context.spent) reply.headers(context.spent.headers);
    if (!('schema' in prepared)) return single({ errors: prepared });
    if (!this.operations.isSubscription(prepared)) {
      if (this.operations.isRateLimit(prepared)) return single(await this.operations.run(prepared));
      const message = 'Only subscriptions run here: send queries and mutations to POST /graphql.';
      return single({ errors: [new GraphQLError(message, { extensions: { code: 'BAD_REQUEST' } })] });
    }
    const results = await this.operations.subscribe(prepared, new StreamOutlet(stream));
    return Symbol.asyncIterator in results ? results : single(results);
  }

  /** Without an event that says it is complete, so that clients come back, to another process. */
  beforeApplicationShutdown(): void {
    for (const reply of this.open) reply.raw.end();
  }
}

async function* single(result: ExecutionResult): AsyncGenerator<ExecutionResult> {
  yield result;
}

/** False when the client is gone. */
function written(reply: FastifyReply, message: string): Promise<boolean> {
  const { raw } = reply;
  if (raw.destroyed || raw.writableEnded) return Promise.resolve(false);
  return new Promise((resolve) => {
    const stalled = setTimeout(() => raw.destroy(), STALLED_AFTER_MS);
    raw.write(message, (error) => {
      clearTimeout(stalled);
      resolve(!error);
    });
  });
}

function endSession(reply: FastifyReply): void {
  if (!reply.raw.headersSent || reply.raw.writableEnded) return;
  const errors = [{ message: 'The login session has ended.', extensions: { code: 'UNAUTHENTICATED' } }];
  reply.raw.end(`event: next\ndata: ${JSON.stringify({ errors })}\n\nevent: complete\ndata:\n\n`);
}

async function refuse(
  reply: FastifyReply,
  status: number,
  code: string,
  message: string,
  details: object = {},
): Promise<void> {
  await reply.status(status).send({ errors: [{ message, extensions: { code, ...details } }] });
}

function headerOf(request: FastifyRequest, name: string): string | null {
  const value = request.headers[name];
  return (Array.isArray(value) ? value.join(', ') : value) ?? null;
}
