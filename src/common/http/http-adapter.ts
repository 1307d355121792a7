import { randomUUID } from 'node:crypto';
import type { IncomingMessage, Server } from 'node:http';
import cors, { type FastifyCorsOptions } from '@fastify/cors';
import { Logger } from '@nestjs/common';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import type { FastifyRequest } from 'fastify';
import { bucketUrl, type Config } from '../config/index.js';
import { type LogContext, runWithLogContext } from '../logging/index.js';
import { histogram } from '../metrics/index.js';
import { forwardedHops } from './client-address.js';

/** Of what is parsed: GraphQL and small JSON. Routes that take files read their body as a stream and bound it themselves. */
const BODY_LIMIT_BYTES = 100 * 1024;
/** For such a body to arrive: one that trickles would hold its connection for as long as its sender likes. */
const BODY_MS = 30_000;
/** For the head of a request, from its first byte or the connection's beginning on. Looked at every third of it. */
const HEADERS_MS = 15_000;
/** For what is under way when the process stops. */
const CLOSE_MS = 5_000;
const REQUEST_ID = /^[\w.-]{8,128}$/;
const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;

const LOG_CONTEXT = Symbol('log context');
const BODY_DEADLINE = Symbol('body deadline');
declare module 'fastify' {
  interface FastifyContextConfig {
    /** Asked so often that an answer tells little. */
    isOften?: boolean;
  }
  interface FastifyRequest {
    [LOG_CONTEXT]: LogContext | undefined;
    [BODY_DEADLINE]: NodeJS.Timeout | undefined;
  }
}

const duration = histogram(
  'sluice_http_request_duration_seconds',
  'Requests that were answered, by the pattern of their route',
  [0.005, 0.02, 0.1, 0.5, 2, 10],
  ['route', 'method', 'status'],
);

/** What a worker listens for: it stands on a network that nobody comes in from. */
const OF_WORKERS = new Set(['/livez', '/readyz', '/metrics']);

/** Nest calls `beforeClose` ahead of every other step of a shutdown. */
export class HttpServer extends FastifyAdapter {
  /** Still answers, and tells whoever sends requests to send them elsewhere. */
  isDraining = false;

  override beforeClose(): void {
    super.beforeClose();
    this.isDraining = true;
  }

  /** Takes no more connections; what is under way may come to its end, for 5 s. Clients repeat what is cut then. */
  override async close(): Promise<void> {
    const server: Server = this.getHttpServer();
    // Node itself does this once, at the beginning: a connection that ended a stream later would stay for a minute.
    const idle = setInterval(() => server.closeIdleConnections(), 50);
    const late = setTimeout(() => server.closeAllConnections(), CLOSE_MS);
    try {
      await super.close();
    } finally {
      clearInterval(idle);
      clearTimeout(late);
    }
  }
}

/** The HTTP server with what belongs to every answer: request id, CORS, security headers, small bodies. */
export function httpAdapter(config: Config, { bodyMs = BODY_MS, headersMs = HEADERS_MS } = {}): HttpServer {
  const hops = config.trustProxy;
  const trust = typeof hops === 'number' ? (_address: string, hop: number) => hop < hops : hops;
  const adapter = new HttpServer({
    bodyLimit: BODY_LIMIT_BYTES,
    trustProxy: trust,
    http: { headersTimeout: headersMs, connectionsCheckingInterval: headersMs / 3 },
    genReqId: (request: IncomingMessage) => {
      const given = request.headers['x-request-id'];
      return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
    },
    // What has come this far is answered, also in the last moment: a client could not know whether a 503 did anything.
    return503OnClosing: false,
    // Playback tokens are path segments.
    routerOptions: { maxParamLength: 1024 },
  });
  const fastify = adapter.getInstance();

  fastify.decorateRequest(LOG_CONTEXT, undefined);
  fastify.decorateRequest(BODY_DEADLINE, undefined);
  fastify.addHook('onRequest', (request, reply, done) => {
    // Fastify takes whatever stands there for an address. Ahead of everything that asks for one.
    const forwarded = request.headers['x-forwarded-for'];
    if (forwarded !== undefined) {
      request.raw.headers['x-forwarded-for'] = forwardedHops(String(forwarded)).reverse().join(', ');
    }
    reply.headers({
      'x-request-id': request.id,
      'x-content-type-options': 'nosniff',
      // Addresses of private media carry their token.
      'referrer-policy': 'no-referrer',
    });
    if (config.role === 'worker' && !OF_WORKERS.has(request.routeOptions.url ?? '')) {
      reply.status(404).send({ message: 'A worker answers no requests.' });
      return;
    }
    withRequest(request, done);
  });
  fastify.addHook('preParsing', (request, _reply, payload, done) => {
    request[BODY_DEADLINE] = setTimeout(() => request.raw.destroy(), bodyMs).unref();
    done(null, payload);
  });
  fastify.addHook('preValidation', (request, _reply, done) => {
    clearTimeout(request[BODY_DEADLINE]);
    // Reading the body leaves the asynchronous context that was set before it.
    withRequest(request, done);
  });

  // The route's pattern, never the address: that may hold a token. Reads and beacons are many, and tell little.
  fastify.addHook('onResponse', (request, reply, done) => {
    clearTimeout(request[BODY_DEADLINE]);
    const { method, routeOptions } = request;
    const route = routeOptions.url ?? 'none';
    duration.observe({ route, method, status: reply.statusCode }, reply.elapsedTime / 1000);
    withRequest(request, () => {
      const isOften = method === 'GET' || method === 'HEAD' || routeOptions.config.isOften;
      const level = isOften ? 'debug' : 'log';
      log[level](
        { method, route: routeOptions.url, status: reply.statusCode, ms: Math.round(reply.elapsedTime) },
        'answered',
      );
      done();
    });
  });

  const csp = contentSecurityPolicy(config);
  fastify.addHook('onSend', (_request, reply, payload, done) => {
    if (String(reply.getHeader('content-type') ?? '').startsWith('text/html')) {
      reply.headers({ 'content-security-policy': csp, 'cache-control': 'no-cache', vary: 'accept, origin' });
    }
    // Whoever keeps the connection would send its next request to a process that goes.
    if (adapter.isDraining) reply.header('connection', 'close');
    // Answers are somebody's own, tokens among them: what may be kept says so itself.
    if (!reply.hasHeader('cache-control')) reply.header('cache-control', 'no-store');
    done(null, payload);
  });

  // Without credentials: cookies are for pages of PUBLIC_URL itself, others send a bearer token.
  const options = {
    origin: config.corsOrigins === '*' ? '*' : [...config.corsOrigins],
    methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
    exposedHeaders: [
      ...['X-Request-Id', 'Content-Range', 'Accept-Ranges', 'Content-Length', 'ETag', 'Retry-After', 'Location'],
      ...['RateLimit', 'RateLimit-Policy'],
      ...['Upload-Offset', 'Upload-Length', 'Upload-Expires'],
      ...['Tus-Version', 'Tus-Resumable', 'Tus-Max-Size', 'Tus-Extension', 'Tus-Checksum-Algorithm'],
    ],
    maxAge: 86_400,
  };
  const askedByClient = { ...options, preflight: false };
  // An OPTIONS that no browser sent ahead of another request is for the route itself.
  fastify.register(
    cors,
    () => (request: FastifyRequest, done: (error: null, options: FastifyCorsOptions) => void) =>
      done(null, request.headers['access-control-request-method'] === undefined ? askedByClient : options),
  );
  return adapter;
}

const log = new Logger('HTTP');

function withRequest(request: FastifyRequest, run: () => void): void {
  let context = request[LOG_CONTEXT];
  if (!context) {
    const { traceparent } = request.headers;
    const isTraced = typeof traceparent === 'string' && TRACEPARENT.test(traceparent);
    context = isTraced ? { requestId: request.id, traceparent } : { requestId: request.id };
    request[LOG_CONTEXT] = context;
  }
  runWithLogContext(context, run);
}

/**
 * Players make their own blob addresses and workers. Media and targets are at PUBLIC_URL, also for a page that was
 * opened by another name of this host, or in the store itself.
 */
function contentSecurityPolicy(config: Config): string {
  const origins = [config.publicUrl, ...(config.s3 ? [bucketUrl(config.s3).origin] : [])];
  const store = origins.map((url) => ` ${new URL(url).origin}`).join('');
  return [
    "default-src 'self'",
    "script-src 'self'",
    "style-src 'self' 'unsafe-inline'",
    `img-src 'self' data: blob:${store}`,
    `media-src 'self' blob:${store}`,
    `connect-src 'self'${store}`,
    "worker-src 'self' blob:",
    "font-src 'self' data:",
    "object-src 'none'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'self'",
  ].join('; ');
}
