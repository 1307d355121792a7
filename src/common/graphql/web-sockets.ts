import { randomUUID } from 'node:crypto';
import { type IncomingMessage, type Server, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import {
  type BeforeApplicationShutdown,
  Inject,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { type ExecutionArgs, GraphQLError } from 'graphql';
import { CloseCode, type Context, handleProtocols, makeServer, type SubscribePayload } from 'graphql-ws';
import { type WebSocket, WebSocketServer } from 'ws';
import { LoginSessions } from '../access/index.js';
import { CONFIG, type Config } from '../config/index.js';
import { addressBlock, allowsOrigin, clientAddress, REQUESTS } from '../http/index.js';
import { type LogContext, runWithLogContext } from '../logging/index.js';
import { RateLimits, TooOften } from '../rate-limits/index.js';
import { ConnectionLimits, raised } from './connection-limits.js';
import { liveConnections } from './graphql-metrics.js';
import { Loaders } from './loaders.js';
import type { OperationContext } from './operation-context.js';
import { Operations } from './operations.js';
import type { Outlet } from './shared-streams.js';

const PATH = '/graphql';
const PING_MS = 12_000;
/** Of a client, between two pings: operations are paid for, and the rest is a hundred a second. */
const MESSAGES_A_PING = 1_200;
const MAX_MESSAGE_BYTES = 64 * 1024;
/** The kernel takes some 4 MB more before any of this counts. */
const MAX_QUEUED_BYTES = 256 * 1024;
const SOCKETS_PER_USER = 5;
const SOCKETS_PER_ADDRESS = 20;
const SUBSCRIPTIONS_PER_SOCKET = 20;
const TERMINATE_AFTER_MS = 2_000;

/** Beside those of graphql-transport-ws (4401 Unauthorized, 4403 Forbidden, 4408 initialisation time-out). */
const TOO_MANY = 4429;
const SERVICE_RESTART = 1012;

type Prepared = ExecutionArgs & { readonly outlet: Outlet };

interface Extra {
  readonly socket: WebSocket;
  readonly request: IncomingMessage;
  context?: OperationContext;
  /** What to undo when the socket closes. */
  readonly undo: (() => void)[];
}
type SocketContext = Context<Record<string, unknown>, Extra>;

/**
 * GraphQL subscriptions over WebSocket (graphql-transport-ws). Wired by hand, since plugins of Apollo Server do not run
 * here: the limits, the access rules and the errors are those of `Operations`, the same as over HTTP.
 */
@Injectable()
export class WebSockets implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly logger = new Logger(WebSockets.name);
  private readonly sockets = new WebSocketServer({
    noServer: true,
    // Compression costs 236 KB a socket, and ws ignores its threshold.
    perMessageDeflate: false,
    maxPayload: MAX_MESSAGE_BYTES,
    handleProtocols: (protocols) => handleProtocols(protocols),
  });
  private readonly limits = new ConnectionLimits();
  private readonly protocol = makeServer<Record<string, unknown>, Extra>({
    connectionInitWaitTimeout: 3_000,
    onConnect: (ctx) => this.connect(ctx),
    onSubscribe: (ctx, id, payload) => this.prepare(ctx, id, payload),
    execute: (args) => this.operations.run(args as ExecutionArgs),
    // What `prepare` gave.
    subscribe: (args) => this.operations.subscribe(args as ExecutionArgs, (args as Prepared).outlet),
  });

  constructor(
    @Inject(CONFIG) private readonly config: Config,
    private readonly adapterHost: HttpAdapterHost,
    private readonly operations: Operations,
    private readonly sessions: LoginSessions,
    private readonly requests: RateLimits,
  ) {}

  onApplicationBootstrap(): void {
    const server: Server = this.adapterHost.httpAdapter.getHttpServer();
    server.on('upgrade', this.upgrade);
  }

  private readonly upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    // Not by URL: it throws at what is none, and here that would end the process.
    if (request.url?.split('?', 1)[0] !== PATH) {
      // Node leaves the socket to us: without a listener its error would end the process too.
      socket.on('error', () => socket.destroy());
      socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n', () => socket.destroy());
      return;
    }
    void this.admit(request, socket, head);
  };

  /** A socket counts as a request. */
  private async admit(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const gone = () => socket.destroy();
    socket.on('error', gone);
    try {
      await this.requests.draw(REQUESTS, addressBlock(this.addressOf(request)));
    } catch (error) {
      const { statusCode = 500, headers = {} } = error instanceof TooOften ? error : {};
      const head = Object.entries({ ...headers, connection: 'close', 'content-length': '0' });
      const lines = [
        `HTTP/1.1 ${statusCode} ${STATUS_CODES[statusCode]}`,
        ...head.map(([name, value]) => `${name}: ${value}`),
      ];
      return void socket.end(`${lines.join('\r\n')}\r\n\r\n`, gone);
    }
    if (socket.destroyed) return;
    socket.off('error', gone);
    this.sockets.handleUpgrade(request, socket, head, (webSocket) => this.opened(webSocket, request));
  }

  private addressOf(request: IncomingMessage): string {
    const { trustProxy } = this.config;
    return clientAddress(trustProxy, request.socket.remoteAddress ?? '', headerOf(request, 'x-forwarded-for'));
  }

  private opened(socket: WebSocket, request: IncomingMessage): void {
    // Before anything else: a bad frame is an error also on a socket that was refused, and would end the process.
    socket.on('error', (error) => this.logger.debug(`socket failed: ${error.message}`));
    // A browser is told by the code: it never sees the status of a refused upgrade.
    if (!allowsOrigin(this.config, request.headers.origin)) {
      closeSoon(socket, CloseCode.Forbidden, 'Origin not allowed');
      return;
    }
    const extra: Extra = { socket, request, undo: [] };
    liveConnections.inc({ transport: 'websocket' });
    extra.undo.push(() => liveConnections.dec({ transport: 'websocket' }));
    const logContext: LogContext = { requestId: randomUUID() };
    const log = <T>(fn: () => T): T => runWithLogContext(logContext, fn);

    let alive = true;
    let messages = 0;
    socket.on('pong', () => {
      alive = true;
    });
    const pings = setInterval(() => {
      if (!alive) return socket.terminate();
      alive = false;
      messages = 0;
      socket.ping();
    }, PING_MS);
    extra.undo.push(() => clearInterval(pings));

    const closed = this.protocol.opened(
      {
        protocol: socket.protocol,
        send: (message) => this.send(socket, message),
        close: (code, reason) => socket.close(code, reason),
        onMessage: (handle) =>
          socket.on('message', (message) => {
            if (++messages > MESSAGES_A_PING) return closeSoon(socket, TOO_MANY, 'Too many messages');
            log(() => handle(String(message))).catch((error: unknown) => log(() => this.failed(socket, error)));
          }),
      },
      extra,
    );
    socket.once('close', (code, reason) => {
      for (const undo of extra.undo.splice(0)) undo();
      closed(code, String(reason)).catch((error: unknown) => log(() => this.failed(socket, error)));
    });
  }

  private send(socket: WebSocket, message: string): Promise<void> {
    return new Promise((resolve) => this.write(socket, message, resolve));
  }

  /** @param written called when it has left, or never will: then the socket is closing, and its close event ends the streams */
  private write(socket: WebSocket, message: string, written?: () => void): void {
    const mayTakeMore = socket.bufferedAmount <= MAX_QUEUED_BYTES;
    if (!mayTakeMore) closeSoon(socket, TOO_MANY, 'Reads too slowly');
    if (mayTakeMore && socket.readyState === socket.OPEN) socket.send(message, written);
    else written?.();
  }

  private async connect({ extra, connectionParams = {} }: SocketContext): Promise<true> {
    const { socket, request } = extra;
    const ip = this.addressOf(request);
    const context = await this.operations.contextOf({
      authorization: authorizationIn(connectionParams),
      ip,
      userAgent: request.headers['user-agent'],
    });
    if (context.badToken) return refuse(socket, CloseCode.Unauthorized, 'The access token is not valid');
    const { actor } = context;
    const place = actor
      ? this.limits.take(`user ${actor.userId}`, SOCKETS_PER_USER)
      : this.limits.take(`address ${addressBlock(ip)}`, raised(SOCKETS_PER_ADDRESS, this.config.rateLimitFactor));
    if (!place) return refuse(socket, TOO_MANY, 'Too many sockets');
    extra.undo.push(place);
    if (actor) {
      const over = () => closeSoon(socket, CloseCode.Unauthorized, 'The login session has ended');
      extra.undo.push(this.sessions.watch(actor.sessionId, over));
    }
    extra.context = context;
    // It may have closed while we asked who it is: its close event has then come too early to undo this.
    if (socket.readyState !== socket.OPEN) for (const undo of extra.undo.splice(0)) undo();
    return true;
  }

  private async prepare(ctx: SocketContext, id: string, payload: SubscribePayload) {
    const { context } = ctx.extra;
    if (!context || typeof payload.query !== 'string') return [refusal('BAD_REQUEST', 'There is no query.')];
    if (Object.keys(ctx.subscriptions).length > SUBSCRIPTIONS_PER_SOCKET) {
      return [refusal('RATE_LIMITED', `A socket carries ${SUBSCRIPTIONS_PER_SOCKET} subscriptions at most.`)];
    }
    const prepared = await this.operations
      .prepare(payload, { ...context, loaders: new Loaders() })
      .catch((error: unknown) => [refusalOf(error)]);
    if (!('schema' in prepared)) return prepared;
    if (!this.operations.isSubscription(prepared)) {
      if (this.operations.isRateLimit(prepared)) return prepared;
      return [refusal('BAD_REQUEST', 'Only subscriptions run here: send queries and mutations to POST /graphql.')];
    }
    const head = `{"id":${JSON.stringify(id)}`;
    const outlet: Outlet = {
      write: (result, written) => this.write(ctx.extra.socket, head + result.tail, written),
    };
    return { ...prepared, outlet };
  }

  private failed(socket: WebSocket, error: unknown): void {
    this.logger.error({ err: error }, 'socket closed after an unexpected error');
    closeSoon(socket, CloseCode.InternalServerError, 'Internal error');
  }

  /** Clients come back, to another process. */
  beforeApplicationShutdown(): void {
    this.adapterHost.httpAdapter?.getHttpServer().off('upgrade', this.upgrade);
    for (const socket of this.sockets.clients) closeSoon(socket, SERVICE_RESTART, 'The server restarts');
  }
}

function authorizationIn(params: Record<string, unknown>): string | undefined {
  const header = params.authorization ?? params.Authorization;
  if (typeof header === 'string') return header;
  return typeof params.token === 'string' ? `Bearer ${params.token}` : undefined;
}

function refuse(socket: WebSocket, code: number, reason: string): true {
  closeSoon(socket, code, reason);
  return true;
}

/** A peer that does not read never answers the closing handshake. */
function closeSoon(socket: WebSocket, code: number, reason: string): void {
  if (socket.readyState !== socket.OPEN) return;
  socket.close(code, reason);
  const timer = setTimeout(() => socket.terminate(), TERMINATE_AFTER_MS);
  socket.once('close', () => clearTimeout(timer));
}

/** Only what came too often is for the one operation. */
function refusalOf(error: unknown): GraphQLError {
  if (!(error instanceof TooOften)) throw error;
  return new GraphQLError(error.message, { extensions: { code: error.code, ...error.details } });
}

function refusal(code: string, message: string): GraphQLError {
  return new GraphQLError(message, { extensions: { code } });
}

function headerOf(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value.join(',') : value;
}
