import http, { type ClientRequest, type IncomingMessage } from 'node:http';
import https, { type RequestOptions } from 'node:https';
import { setTimeout as pause } from 'node:timers/promises';
import { rootCertificates } from 'node:tls';
import { Logger } from '@nestjs/common';
import { Client } from 'minio';
import type { S3Config } from '../../common/config/index.js';
import { amzDate, authorization, type Signer } from './sigv4.js';
import { StorageFull, StorageUnavailable } from './storage.errors.js';

const logger = new Logger('S3');

/** Without a byte in either direction for as long, a request has failed. */
const SILENCE_MS = 20_000;
/** Nor does a connection that cannot be made take longer. */
const CONNECT_MS = 5_000;
const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 3_000;
/** For how long a request is begun again: somebody may be waiting for the answer. */
const BRIEFLY_MS = 10_000;
/** The same where much was done already that a failure would throw away: a store restarts within it. */
export const PATIENTLY_MS = 120_000;
/** Requests for what is not a stream. A slow viewer holds a connection for as long as he watches: those do not count. */
const MOST_SOCKETS = 64;
/** An offset is measured anew when it is older. */
const CLOCK_MS = 5 * 60 * 1000;
/** Of a store that is away the log says so often enough. */
const WARN_MS = 1_000;

/** What the store answered where it did not do what it was asked for. */
interface StoreError extends Error {
  code?: string;
}
/** As S3, MinIO, versitygw and others name it. */
const FULL = new Set([
  'XMinioStorageFull',
  'QuotaExceeded',
  'XAdminBucketQuotaExceeded',
  'InsufficientStorage',
  'NoSpaceLeftOnDevice',
]);
/** Nothing was done, or it cannot be known whether; the same request may do better in a moment. */
const TRANSIENT = new Set([
  'RequestTimeTooSkewed',
  'RequestTimeout',
  'SlowDown',
  'ServiceUnavailable',
  'InternalError',
  'OperationAborted',
  'ConditionalRequestConflict',
  'XMinioServerNotInitialized',
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
]);

/** What Node's codes for a certificate that it does not trust have in common. */
export const UNTRUSTED = /CERT|UNABLE_TO_VERIFY/;

/** Statuses that the client makes an error of without reading the answer. */
const UNREAD = new Set([408, 429, 499, 500, 502, 503, 504, 520]);

export interface Patience {
  signal?: AbortSignal;
  /** For how long a failed attempt is followed by another. */
  forMs?: number;
}

/** What an attempt may ask about those before it. */
export interface Attempt {
  /** An earlier one may have succeeded without our learning of it. */
  repeated: boolean;
}

/**
 * The minio client, with what it leaves to its user: requests are signed by the store's clock (a wrong clock here does no
 * harm), end when the store falls silent, and are repeated with jitter where the caller says that this is safe.
 */
export class S3Requests {
  readonly client: Client;
  readonly signer: Signer;
  private readonly agent: http.Agent;
  private readonly streams: http.Agent;
  /** Store's clock minus ours. */
  private offsetMs = 0;
  private corrections = 0;
  private measuredAt = Number.NEGATIVE_INFINITY;
  private warnedAt = Number.NEGATIVE_INFINITY;

  constructor(private readonly config: S3Config) {
    const { hostname, port, protocol } = new URL(config.endpoint);
    const secure = protocol === 'https:';
    this.signer = { accessKey: config.accessKey, secretKey: config.secretKey, region: config.region };
    const ca = config.ca && [...rootCertificates, config.ca];
    const agent = (maxSockets: number) => new (secure ? https : http).Agent({ keepAlive: true, maxSockets, ca });
    this.agent = agent(MOST_SOCKETS);
    this.streams = agent(Number.POSITIVE_INFINITY);
    this.client = new Client({
      endPoint: hostname,
      port: port ? Number(port) : undefined,
      useSSL: secure,
      accessKey: config.accessKey,
      secretKey: config.secretKey,
      region: config.region,
      pathStyle: config.pathStyle,
      transportAgent: this.agent,
      retryOptions: { disableRetry: true },
      transport: {
        request: (options: RequestOptions, onResponse: (response: IncomingMessage) => void) =>
          this.send(secure ? https : http, options, onResponse),
      } as never,
    });
  }

  close(): void {
    this.agent.destroy();
    this.streams.destroy();
  }

  /** The store's time, learnt from its answers. */
  async now(): Promise<Date> {
    if (performance.now() - this.measuredAt > CLOCK_MS) {
      const bucket = { method: 'HEAD', bucketName: this.config.bucket };
      const measured = this.repeat(async () => void (await this.client.makeRequestAsyncOmit(bucket)));
      // A store that is away does not stop signing by what was known of its clock.
      if (!Number.isFinite(this.measuredAt)) await measured;
      else measured.catch((error: Error) => logger.warn(`its clock could not be read: ${reasonOf(error)}`));
    }
    return this.time();
  }

  /**
   * Runs `attempt` until it gives a result, fails for a reason that stays, or time is up.
   * @throws STORAGE_FULL, STORAGE_UNAVAILABLE, or the store's own refusal
   */
  async repeat<T>(attempt: (state: Attempt) => Promise<T>, { signal, forMs = BRIEFLY_MS }: Patience = {}): Promise<T> {
    const deadline = performance.now() + forMs;
    for (let count = 1; ; count++) {
      signal?.throwIfAborted();
      const { corrections } = this;
      try {
        return await attempt({ repeated: count > 1 });
      } catch (error) {
        const code = codeOf(error);
        if (FULL.has(code)) throw new StorageFull(error);
        if (UNTRUSTED.test(code)) throw this.unavailable(`its certificate is not trusted (${code})`, error);
        // A refusal for the time alone: the answer to HEAD has no code that would tell it from others.
        if (!isTransient(error) && this.corrections === corrections) throw error;
        const most = Math.min(FIRST_DELAY_MS * 4 ** (count - 1), LONGEST_DELAY_MS);
        const delay = (0.5 + Math.random() / 2) * most;
        if (performance.now() + delay > deadline) throw this.unavailable(reasonOf(error), error);
        await pause(delay, undefined, { signal });
      }
    }
  }

  private unavailable(reason: string, cause: unknown): StorageUnavailable {
    if (performance.now() > this.warnedAt + WARN_MS) {
      this.warnedAt = performance.now();
      logger.warn(`${this.config.endpoint}: ${reason}`);
    }
    return new StorageUnavailable(reason, cause);
  }

  private time(): Date {
    return new Date(Date.now() + this.offsetMs);
  }

  private send(
    transport: typeof http | typeof https,
    options: RequestOptions,
    onResponse: (response: IncomingMessage) => void,
  ): ClientRequest {
    const given = this.signed(options);
    const isStream = options.method === 'GET' && !options.path?.includes('?');
    const request = transport.request({ ...given, agent: isStream ? this.streams : this.agent }, (response) => {
      this.learn(response.headers.date);
      // Unread it would hold the connection.
      if (UNREAD.has(response.statusCode ?? 0)) response.resume();
      onResponse(response);
    });
    request.once('socket', (socket) => {
      if (!socket.connecting) return;
      const late = setTimeout(() => request.destroy(new StorageUnavailable('no connection in time')), CONNECT_MS);
      for (const event of ['connect', 'close'] as const) socket.once(event, () => clearTimeout(late));
    });
    const silent = () => request.destroy(new StorageUnavailable(`silent for ${SILENCE_MS / 1000} s`));
    return request.setTimeout(SILENCE_MS, silent);
  }

  /** The client has signed by the clock here: that signature is replaced. */
  private signed(options: RequestOptions): RequestOptions {
    const at = this.time();
    const { authorization: _, ...given } = options.headers as Record<string, string>;
    const headers = { ...given, 'x-amz-date': amzDate(at) };
    const {
      'content-length': _length,
      'content-type': _type,
      'user-agent': _agent,
      ...signable
    } = headers as Record<string, string>;
    const [path = '/', query = ''] = (options.path ?? '/').split('?', 2);
    const request = {
      method: options.method ?? 'GET',
      path,
      query,
      headers: signable,
      payloadHash: given['x-amz-content-sha256'] ?? '',
    };
    return { ...options, headers: { ...headers, authorization: authorization(request, this.signer, at) } };
  }

  private learn(date: string | undefined): void {
    const theirs = Date.parse(date ?? '');
    if (Number.isNaN(theirs)) return;
    // Theirs has whole seconds: less than that is no offset.
    const offset = theirs - Date.now();
    if (Math.abs(offset - this.offsetMs) > 2000) {
      this.offsetMs = offset;
      this.corrections++;
    }
    this.measuredAt = performance.now();
  }
}

/** The store's code for it, or the system's; empty where there is none. */
export function codeOf(error: unknown): string {
  return String((error as StoreError).code ?? '');
}

/** For operators. */
function reasonOf(error: unknown): string {
  return error instanceof StorageUnavailable ? error.reason : (error as Error).message;
}

function isTransient(error: unknown): boolean {
  // 408, 429 and 5xx are wrapped by the client, without a code.
  const { code, message } = error as StoreError;
  return TRANSIENT.has(String(code)) || code === 'STORAGE_UNAVAILABLE' || message.startsWith('Request failed after');
}
