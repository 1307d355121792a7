import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { ConfigurationError, parseOptions } from './options.js';

export interface S3Config {
  readonly endpoint: string;
  readonly publicEndpoint: string;
  readonly bucket: string;
  readonly region: string;
  readonly accessKey: string;
  readonly secretKey: string;
  readonly pathStyle: boolean;
  /** Certificates in PEM, trusted beside the usual ones. */
  readonly ca?: string;
}

/** The address that browsers reach the bucket by. */
export function bucketUrl({ publicEndpoint, bucket, pathStyle }: S3Config): URL {
  const url = new URL(publicEndpoint);
  if (pathStyle) url.pathname = bucket;
  else url.hostname = `${bucket}.${url.hostname}`;
  return url;
}

export type StoreName = 'disk' | 's3';

export interface TracingConfig {
  /** The receiver's address, without `/v1/traces`. */
  readonly endpoint: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly serviceName: string;
  /** From 0 to 1: of uploads. */
  readonly sampled: number;
}

/** What the environment says. `null`: not configured, so `embedded` fills it in. */
export interface Settings extends Omit<Config, Filled> {
  readonly databaseUrl: string | null;
  readonly redisUrl: string | null;
  readonly tokenSecret: string | null;
  readonly storageSecret: string | null;
  readonly playbackSecret: string | null;
}
type Filled = 'databaseUrl' | 'redisUrl' | 'tokenSecret' | 'storageSecret' | 'playbackSecret';

/** The whole configuration, complete and frozen. README's table has each option's meaning. */
export interface Config {
  readonly role: 'all' | 'api' | 'worker';
  readonly host: string;
  readonly port: number;
  /** Without a slash at its end. */
  readonly publicUrl: string;
  /** Absolute. */
  readonly dataDir: string;
  readonly databaseUrl: string;
  readonly databasePoolSize: number;
  readonly redisUrl: string;
  readonly redisPrefix: string;
  /** `null`: S3 where it is configured, else files under `dataDir`. */
  readonly storage: StoreName | null;
  /** Where objects may also be, while they move. */
  readonly storageAlso: StoreName | null;
  readonly s3: S3Config | null;
  readonly tokenSecret: string;
  readonly storageSecret: string;
  readonly playbackSecret: string;
  /** How long playback links work at least. */
  readonly playbackSeconds: number;
  /** `null`: no mail is sent. */
  readonly smtp: { readonly url: string; readonly from: string } | null;
  readonly registration: 'open' | 'closed';
  readonly corsOrigins: '*' | readonly string[];
  readonly trustProxy: false | number | string;
  readonly maxUploadBytes: number;
  readonly uploadQuotaBytes: number;
  /** Of all users together; `null`: no bound. */
  readonly installationQuotaBytes: number | null;
  /** Unfinished uploads of one user. */
  readonly maxOpenUploads: number;
  /** Of every bound on requests; 0: none. */
  readonly rateLimitFactor: number;
  readonly liveEventDays: number;
  readonly notificationDays: number;
  /** Where pushes may go although strangers cannot reach it. */
  readonly pushHosts: readonly string[];
  /** Films are processed before all of them has arrived. */
  readonly earlyProcessing: boolean;
  readonly encodeConcurrency: number;
  /** What a run is planned with. */
  readonly encodePreset: string;
  readonly encodeCrf: number;
  /** The lowest first; caps at up to 30 frames a second. */
  readonly ladder: readonly { readonly shortSide: number; readonly maxBitsPerSecond: number }[];
  readonly segmentsPerPiece: number;
  readonly copyTopRung: boolean;
  /** Of its short side, in pixels: rungs above it are made when they are asked for. */
  readonly onDemandAbove: number;
  /** Rungs of videos that nobody watched for so long are given up; 0: never. */
  readonly onDemandAfterDays: number;
  /** Of its short side, in pixels: rungs up to it are never given up. */
  readonly onDemandKeep: number;
  readonly sandbox: 'auto' | 'strict';
  readonly ffmpegPath: string;
  readonly graphqlIntrospection: boolean;
  /** `null`: `/metrics` is for direct requests from private networks alone. */
  readonly metricsToken: string | null;
  /** `null`: no traces. */
  readonly tracing: TracingConfig | null;
  readonly logLevel: 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent';
}

/**
 * The only reader of the process's environment.
 * @throws ConfigurationError with a sentence for each option that is wrong or missing
 */
export function readSettings(env: Readonly<Record<string, string | undefined>> = process.env): Settings {
  const o = parseOptions(env);
  const problems: string[] = [];

  const s3Given = (['S3_ENDPOINT', 'S3_BUCKET', 'S3_ACCESS_KEY', 'S3_SECRET_KEY'] as const).map((n) => [n, o[n]]);
  const s3Missing = s3Given.filter(([, value]) => !value).map(([name]) => name);
  const s3Wanted =
    s3Missing.length < s3Given.length ||
    o.S3_PUBLIC_ENDPOINT !== undefined ||
    [o.STORAGE, o.STORAGE_ALSO].includes('s3');
  if (s3Wanted && s3Missing.length > 0) problems.push(`An S3 store also needs ${s3Missing.join(', ')}.`);

  if (o.STORAGE_ALSO !== undefined && o.STORAGE_ALSO === (o.STORAGE ?? (o.S3_ENDPOINT ? 's3' : 'disk')))
    problems.push(`STORAGE_ALSO is where objects are written already: leave it out.`);
  let ca: string | undefined;
  try {
    ca = o.S3_CA_FILE && readFileSync(o.S3_CA_FILE, 'utf8');
    if (ca) new X509Certificate(ca);
  } catch (error) {
    problems.push(`S3_CA_FILE must be a file with certificates in PEM that can be read: ${(error as Error).message}.`);
  }

  if (o.ROLE !== 'all') {
    for (const name of ['DATABASE_URL', 'REDIS_URL'] as const)
      if (!o[name]) problems.push(`ROLE=${o.ROLE} needs ${name}: embedded servers belong to ROLE=all.`);
  }
  if (o.DATABASE_URL) {
    for (const name of ['TOKEN_SECRET', 'STORAGE_SECRET', 'PLAYBACK_SECRET'] as const)
      if (!o[name])
        problems.push(`${name} must be set, since DATABASE_URL is: at least 32 characters, the same on every process.`);
  }
  if (o.SMTP_URL && !o.MAIL_FROM) problems.push('MAIL_FROM must be set, since SMTP_URL is: the sender of the mail.');
  if (problems.length > 0) throw new ConfigurationError(problems);

  return Object.freeze({
    role: o.ROLE,
    host: o.HOST,
    port: o.PORT,
    publicUrl: o.PUBLIC_URL ?? `http://localhost:${o.PORT}`,
    dataDir: resolve(o.DATA_DIR),
    databaseUrl: o.DATABASE_URL ?? null,
    databasePoolSize: o.DATABASE_POOL_SIZE,
    redisUrl: o.REDIS_URL ?? null,
    redisPrefix: o.REDIS_PREFIX,
    storage: o.STORAGE ?? null,
    storageAlso: o.STORAGE_ALSO ?? null,
    s3:
      o.S3_ENDPOINT && o.S3_BUCKET && o.S3_ACCESS_KEY && o.S3_SECRET_KEY
        ? Object.freeze({
            endpoint: o.S3_ENDPOINT,
            publicEndpoint: o.S3_PUBLIC_ENDPOINT ?? o.S3_ENDPOINT,
            bucket: o.S3_BUCKET,
            region: o.S3_REGION,
            accessKey: o.S3_ACCESS_KEY,
            secretKey: o.S3_SECRET_KEY,
            pathStyle: o.S3_PATH_STYLE,
            ca,
          })
        : null,
    tokenSecret: o.TOKEN_SECRET ?? null,
    storageSecret: o.STORAGE_SECRET ?? null,
    playbackSecret: o.PLAYBACK_SECRET ?? null,
    playbackSeconds: o.PLAYBACK_SECONDS,
    smtp: o.SMTP_URL && o.MAIL_FROM ? Object.freeze({ url: o.SMTP_URL, from: o.MAIL_FROM }) : null,
    registration: o.REGISTRATION,
    corsOrigins: o.CORS_ORIGINS as '*' | string[],
    trustProxy: o.TRUST_PROXY,
    maxUploadBytes: o.UPLOAD_MAX_BYTES,
    uploadQuotaBytes: o.UPLOAD_QUOTA_BYTES,
    installationQuotaBytes: o.INSTALLATION_QUOTA_BYTES ?? null,
    maxOpenUploads: o.UPLOAD_MAX_OPEN,
    rateLimitFactor: o.RATE_LIMIT_FACTOR,
    liveEventDays: o.LIVE_EVENT_DAYS,
    notificationDays: o.NOTIFICATION_DAYS,
    pushHosts: Object.freeze(o.PUSH_HOSTS ?? []),
    earlyProcessing: o.EARLY_PROCESSING,
    encodeConcurrency: o.ENCODE_CONCURRENCY,
    encodePreset: o.ENCODE_PRESET,
    encodeCrf: o.ENCODE_CRF,
    ladder: Object.freeze(o.LADDER),
    segmentsPerPiece: o.PIECE_SEGMENTS,
    copyTopRung: o.COPY_TOP_RUNG,
    onDemandAbove: o.ON_DEMAND_ABOVE,
    onDemandAfterDays: o.ON_DEMAND_AFTER_DAYS,
    onDemandKeep: o.ON_DEMAND_KEEP,
    sandbox: o.SANDBOX,
    ffmpegPath: o.FFMPEG_PATH,
    graphqlIntrospection: o.GRAPHQL_INTROSPECTION,
    metricsToken: o.METRICS_TOKEN ?? null,
    tracing: o.OTEL_EXPORTER_OTLP_ENDPOINT
      ? Object.freeze({
          endpoint: o.OTEL_EXPORTER_OTLP_ENDPOINT.replace(/\/+$/, ''),
          headers: Object.freeze(o.OTEL_EXPORTER_OTLP_HEADERS ?? {}),
          serviceName: o.OTEL_SERVICE_NAME,
          sampled: o.OTEL_TRACES_SAMPLER_ARG,
        })
      : null,
    logLevel: o.LOG_LEVEL,
  });
}
