import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { z } from 'zod';

/**
 * Every option, in the order of README's table. An option's `accepts` is both the table's column and the sentence that
 * a wrong value is answered with, so the two cannot differ.
 */

interface About {
  description: string;
  /** Completes "NAME must be …". */
  accepts: string;
  /** The table's default where the value is worked out at the start. */
  default?: string;
  /** Never shown in a message; may also come from the file that NAME_FILE names. */
  secret?: true;
}
const about = new WeakMap<z.ZodType, About>();

function option<T extends z.ZodType>(type: T, text: About): T {
  about.set(type, text);
  return type;
}

const bool = z.enum(['true', 'false']).transform((text) => text === 'true');
const whole = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d{1,16}$/)
    .transform(Number)
    .pipe(z.number().min(min).max(max));
const url = (...protocols: string[]) => z.string().refine((text) => protocols.includes(parsed(text)?.protocol ?? ''));
const origin = (text: string) => parsed(text)?.origin === text;
const GiB = 2 ** 30;
const PRESETS = ['ultrafast', 'superfast', 'veryfast', 'faster', 'fast', 'medium', 'slow', 'slower'] as const;
const LADDER = [
  { shortSide: 240, maxBitsPerSecond: 400_000 },
  { shortSide: 360, maxBitsPerSecond: 800_000 },
  { shortSide: 480, maxBitsPerSecond: 1_400_000 },
  { shortSide: 720, maxBitsPerSecond: 2_800_000 },
  { shortSide: 1080, maxBitsPerSecond: 5_000_000 },
  { shortSide: 1440, maxBitsPerSecond: 9_000_000 },
  { shortSide: 2160, maxBitsPerSecond: 18_000_000 },
];
const RUNG = /^(\d{2,4}):(\d{2,6})$/;

/** `240:400,360:800`, the lowest first: even short sides of 100 to 4320 pixels, 64 to 200000 kbit/s, at most ten. */
function ladder(text: string, context: z.RefinementCtx): { shortSide: number; maxBitsPerSecond: number }[] {
  const rungs = text.split(',').map((rung) => {
    const [, side, kilobits] = RUNG.exec(rung.trim()) ?? [];
    return { shortSide: Number(side), maxBitsPerSecond: Number(kilobits) * 1000 };
  });
  const isRung = ({ shortSide, maxBitsPerSecond: bits }: (typeof rungs)[number], index: number) =>
    shortSide >= 100 &&
    shortSide <= 4320 &&
    shortSide % 2 === 0 &&
    bits >= 64_000 &&
    bits <= 200_000_000 &&
    (index === 0 ||
      (shortSide > (rungs[index - 1]?.shortSide ?? 0) && bits > (rungs[index - 1]?.maxBitsPerSecond ?? 0)));
  if (rungs.length <= 10 && rungs.every(isRung)) return rungs;
  context.addIssue({ code: 'custom' });
  return z.NEVER;
}

export const options = z.object({
  ROLE: option(z.enum(['all', 'api', 'worker']).default('all'), {
    description:
      'What this process does: answer requests (and send pushes), work off jobs, or both. A worker listens for /livez, /readyz and /metrics alone.',
    accepts: 'all, api or worker',
  }),
  HOST: option(z.string().min(1).default('127.0.0.1'), {
    description:
      'The address to listen on. The default reaches only this machine, since a first start has no TLS and open registration; a container wants 0.0.0.0.',
    accepts: 'an address of this machine, or 0.0.0.0 or :: for all of them',
  }),
  PORT: option(whole(1, 65_535).default(3000), {
    description: 'The port to listen on.',
    accepts: 'a whole number from 1 to 65535',
  }),
  PUBLIC_URL: option(
    url('http:', 'https:')
      .transform((text) => text.replace(/\/+$/, ''))
      .optional(),
    {
      description: 'Where browsers reach this server: the start of every address that it gives out.',
      accepts: 'an http or https address',
      default: 'http://localhost:PORT',
    },
  ),
  DATA_DIR: option(z.string().min(1).default('./data'), {
    description: 'What is embedded keeps its files here: database, Redis, objects, generated secrets.',
    accepts: 'a folder, made where it is missing',
  }),
  DATABASE_URL: option(url('postgres:', 'postgresql:').optional(), {
    description: 'PostgreSQL 15 or newer. Without it an embedded one runs on DATA_DIR.',
    accepts: 'an address such as postgresql://user:password@host:5432/database',
    default: 'embedded',
    secret: true,
  }),
  DATABASE_POOL_SIZE: option(whole(2, 1000).default(10), {
    description: 'The most connections to PostgreSQL that one process opens.',
    accepts: 'a whole number from 2 to 1000',
  }),
  REDIS_URL: option(url('redis:', 'rediss:').optional(), {
    description: 'Redis 6.2 or newer, with maxmemory-policy noeviction. Without it an embedded one runs on DATA_DIR.',
    accepts: 'an address such as redis://:password@host:6379/0',
    default: 'embedded',
    secret: true,
  }),
  REDIS_PREFIX: option(
    z
      .string()
      .regex(/^[\w.:-]{1,60}$/)
      .default('sluice:'),
    {
      description: 'Starts the name of every key and channel, so that installations can share one Redis.',
      accepts: '1 to 60 of letters, digits and . : - _',
    },
  ),
  STORAGE: option(z.enum(['disk', 's3']).optional(), {
    description: 'Where objects are written.',
    accepts: 'disk or s3',
    default: 's3 where S3_ENDPOINT is set, else disk',
  }),
  STORAGE_ALSO: option(z.enum(['disk', 's3']).optional(), {
    description: 'Where objects may also be, while they move: docs/operations/storage.md.',
    accepts: 'disk or s3',
    default: 'nowhere',
  }),
  S3_ENDPOINT: option(url('http:', 'https:').optional(), {
    description: 'The S3 object store as this server reaches it. Without it objects are files under DATA_DIR.',
    accepts: 'an http or https address',
    default: 'disk',
  }),
  S3_PUBLIC_ENDPOINT: option(url('http:', 'https:').optional(), {
    description: 'The same store as browsers reach it.',
    accepts: 'an http or https address',
    default: 'S3_ENDPOINT',
  }),
  S3_BUCKET: option(
    z
      .string()
      .regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/)
      .optional(),
    {
      description: 'The bucket, for Sluice alone. It is made where it is missing and the key may do so.',
      accepts: 'a bucket name: 3 to 63 of a-z, 0-9, dot and hyphen',
      default: 'needed with S3_ENDPOINT',
    },
  ),
  S3_CA_FILE: option(z.string().min(1).optional(), {
    description: "Who signed the store's certificate, beside the authorities that Node knows.",
    accepts: 'a file with certificates in PEM that can be read',
    default: 'none',
  }),
  S3_REGION: option(z.string().min(1).default('us-east-1'), {
    description: "The bucket's region.",
    accepts: 'a region name',
  }),
  S3_ACCESS_KEY: option(z.string().min(1).optional(), {
    description: 'The access key id.',
    accepts: 'an access key id',
    default: 'needed with S3_ENDPOINT',
    secret: true,
  }),
  S3_SECRET_KEY: option(z.string().min(1).optional(), {
    description: 'The secret access key.',
    accepts: 'a secret access key',
    default: 'needed with S3_ENDPOINT',
    secret: true,
  }),
  S3_PATH_STYLE: option(bool.default(true), {
    description: 'Whether the bucket is in the path (MinIO, SeaweedFS, versitygw) or in the host name (AWS).',
    accepts: 'true or false',
  }),
  TOKEN_SECRET: option(z.string().min(32).optional(), {
    description: 'Signs access tokens. Another value signs everybody out within minutes.',
    accepts: 'at least 32 characters, the same on every process',
    default: 'generated; needed with DATABASE_URL',
    secret: true,
  }),
  STORAGE_SECRET: option(z.string().min(32).optional(), {
    description: 'Signs the upload targets of disk storage.',
    accepts: 'at least 32 characters, the same on every process',
    default: 'generated; needed with DATABASE_URL',
    secret: true,
  }),
  PLAYBACK_SECRET: option(z.string().min(32).optional(), {
    description: 'Signs playback links. Another value ends those that are out.',
    accepts: 'at least 32 characters, the same on every process',
    default: 'generated; needed with DATABASE_URL',
    secret: true,
  }),
  PLAYBACK_SECONDS: option(whole(60, 7 * 86_400).default(6 * 3600), {
    description: 'How long playback links work at least; a sixth longer at most.',
    accepts: 'a whole number of seconds from 60 to 604800',
  }),
  SMTP_URL: option(url('smtp:', 'smtps:').optional(), {
    description:
      'The mail server, for links that reset a password; without it none are sent. smtp:// uses STARTTLS where it is offered; add ?requireTLS=true to insist.',
    accepts: 'an address such as smtps://user:password@mail.example.org:465',
    default: 'no mail',
    secret: true,
  }),
  MAIL_FROM: option(
    z
      .string()
      .regex(/^[^\r\n]{1,200}$/)
      .refine((text) => text.includes('@'))
      .optional(),
    {
      description: 'The sender of mail.',
      accepts: 'an address such as Sluice <video@example.org>',
      default: 'needed with SMTP_URL',
    },
  ),
  REGISTRATION: option(z.enum(['open', 'closed']).default('open'), {
    description: 'Whether anybody may register.',
    accepts: 'open or closed',
  }),
  CORS_ORIGINS: option(
    z
      .string()
      .transform((text) => (text === '*' ? '*' : text.split(',').map((item) => item.trim())))
      .refine((list) => list === '*' || (list as string[]).every(origin))
      .default('*'),
    {
      description:
        'The web origins whose pages may use the API, media and upload targets. Cookies are taken from PUBLIC_URL alone.',
      accepts: '* for any, or origins such as https://app.example.org separated by commas',
    },
  ),
  TRUST_PROXY: option(
    z
      .string()
      .regex(/^(false|\d{1,2}|[0-9a-fA-F.:/]+(\s*,\s*[0-9a-fA-F.:/]+)*)$/)
      .transform((text) => (text === 'false' ? false : /^\d+$/.test(text) ? Number(text) : text))
      .default(false),
    {
      description: "Whose X-Forwarded-For tells a client's address.",
      accepts: 'false, the number of proxies in front, or their addresses or networks separated by commas',
    },
  ),
  UPLOAD_MAX_BYTES: option(whole(1, 2 ** 43).default(128 * GiB), {
    description: 'The largest file that may be uploaded.',
    accepts: 'a whole number of bytes from 1 to 8796093022208',
  }),
  UPLOAD_QUOTA_BYTES: option(whole(1, Number.MAX_SAFE_INTEGER).default(512 * GiB), {
    description: 'The bytes of originals that one user may hold.',
    accepts: 'a whole number of bytes from 1 to 9007199254740991',
  }),
  INSTALLATION_QUOTA_BYTES: option(whole(1, Number.MAX_SAFE_INTEGER).optional(), {
    description: 'The bytes of originals that all users together may hold.',
    accepts: 'a whole number of bytes from 1 to 9007199254740991',
    default: 'no bound',
  }),
  UPLOAD_MAX_OPEN: option(whole(1, 1_000_000).default(1000), {
    description: 'How many unfinished uploads one user may have.',
    accepts: 'a whole number from 1 to 1000000',
  }),
  RATE_LIMIT_FACTOR: option(whole(0, 1000).default(1), {
    description:
      'How far the bounds on requests are raised (docs/operations/limits.md); 0 takes them away, for where something in front has its own.',
    accepts: 'a whole number from 0 to 1000',
  }),
  LIVE_EVENT_DAYS: option(whole(1, 365).default(3), {
    description: 'How long a client may be away and still be told live of all that it missed; later it loads anew.',
    accepts: 'a whole number of days from 1 to 365',
  }),
  NOTIFICATION_DAYS: option(whole(1, 3_650).default(180), {
    description: 'How long what somebody was told stands in their inbox.',
    accepts: 'a whole number of days from 1 to 3650',
  }),
  PUSH_HOSTS: option(
    z
      .string()
      .transform((text) => text.split(',').map((host) => host.trim().toLowerCase()))
      .refine((hosts) => hosts.every((host) => /^[a-z\d.-]{1,253}$/.test(host)))
      .optional(),
    {
      description:
        'Push services of your own: hosts that may be in a private network, at any port. All others must be reachable by everybody, at port 443.',
      accepts: 'names of hosts with commas between them',
      default: 'none',
    },
  ),
  EARLY_PROCESSING: option(bool.default(true), {
    description:
      'Whether films are looked at and encoded while they still arrive (MP4 and MOV), for their editors to watch.',
    accepts: 'true or false',
  }),
  ENCODE_CONCURRENCY: option(whole(1, 256).default(availableParallelism()), {
    description: 'How many pieces one process encodes at once.',
    accepts: 'a whole number from 1 to 256',
    default: 'the number of cores',
  }),
  ENCODE_PRESET: option(z.enum(PRESETS).default('veryfast'), {
    description:
      "x264's preset: how much time goes into each frame, for smaller files of the same look. This and the next three hold for videos that are planned from then on.",
    accepts: PRESETS.join(', ').replace(/, (\w+)$/, ' or $1'),
  }),
  ENCODE_CRF: option(whole(16, 40).default(23), {
    description:
      'The quality that each rung is made for, below its cap: a smaller number looks better and takes more bytes.',
    accepts: 'a whole number from 16 to 40',
  }),
  LADDER: option(z.string().transform(ladder).default(LADDER), {
    description:
      'The rungs that a video is made in, as far as its own short side goes: short side in pixels and cap in kbit/s at up to 30 frames a second (half as much more above).',
    accepts:
      'up to ten of SIDE:KBITS separated by commas, rising in both: even sides of 100 to 4320, 64 to 200000 kbit/s',
    default: '`240:400,360:800,480:1400,720:2800,1080:5000,1440:9000,2160:18000`',
  }),
  PIECE_SEGMENTS: option(whole(1, 15).default(3), {
    description:
      'How many segments of about 4 s are encoded in one piece, and fewer towards the end: more start fewer programs, fewer spread better over workers.',
    accepts: 'a whole number from 1 to 15',
  }),
  COPY_TOP_RUNG: option(bool.default(true), {
    description: 'Whether the highest rendition is the picture as it was uploaded, where that can be played as it is.',
    accepts: 'true or false',
  }),
  ON_DEMAND_ABOVE: option(whole(100, 4320).default(1080), {
    description:
      'Rungs of a larger short side than this are made when somebody first asks for one (docs/operations/on-demand.md), unless they are copied.',
    accepts: 'a whole number of pixels from 100 to 4320',
  }),
  ON_DEMAND_AFTER_DAYS: option(whole(0, 36_500).default(0), {
    description:
      'When nobody has watched a video for so many days, its larger rungs are deleted, and made again when somebody asks for one. 0: never.',
    accepts: 'a whole number of days from 0 to 36500',
  }),
  ON_DEMAND_KEEP: option(whole(0, 4320).default(480), {
    description: 'Rungs up to this short side are never deleted so, nor is the lowest, nor one that was copied.',
    accepts: 'a whole number of pixels from 0 to 4320',
  }),
  SANDBOX: option(z.enum(['auto', 'strict']).default('auto'), {
    description:
      'How ffmpeg is confined: by the strongest means that work here, or by bubblewrap and no start without it.',
    accepts: 'auto or strict',
  }),
  FFMPEG_PATH: option(z.string().min(1).default('ffmpeg'), {
    description: 'The ffmpeg to run, 5.1 or newer; ffprobe is looked for beside it first.',
    accepts: 'a path, or the name of an installed program',
  }),
  GRAPHQL_INTROSPECTION: option(bool.default(true), {
    description: 'Whether clients may ask for the schema (GraphiQL needs it).',
    accepts: 'true or false',
  }),
  METRICS_TOKEN: option(z.string().min(16).optional(), {
    description:
      'Who sends it as a bearer token may read /metrics from anywhere. Without it, only who asks directly (through no proxy) from this machine or a private network.',
    accepts: 'at least 16 characters',
    default: 'none',
    secret: true,
  }),
  OTEL_EXPORTER_OTLP_ENDPOINT: option(url('http:', 'https:').optional(), {
    description: 'Where traces of uploads go, as OTLP over HTTP: to /v1/traces below this address.',
    accepts: 'an http or https address',
    default: 'no traces',
  }),
  OTEL_EXPORTER_OTLP_HEADERS: option(
    z
      .string()
      .regex(/^\s*[\w-]+\s*=[^,]*(?:,\s*[\w-]+\s*=[^,]*)*$/)
      .transform(headers)
      .optional(),
    {
      description: 'Headers to send there, for a token that the receiver wants.',
      accepts: 'name=value pairs separated by commas, values percent-encoded',
      default: 'none',
      secret: true,
    },
  ),
  OTEL_SERVICE_NAME: option(z.string().min(1).max(255).default('sluice'), {
    description: 'The name of this service in traces.',
    accepts: 'a name of at most 255 characters',
  }),
  OTEL_TRACES_SAMPLER_ARG: option(
    z
      .string()
      .regex(/^(?:0(?:\.\d+)?|1(?:\.0+)?)$/)
      .transform(Number)
      .default(1),
    {
      description: 'The share of uploads that are traced. Every process must have the same.',
      accepts: 'a number from 0 to 1',
    },
  ),
  LOG_LEVEL: option(z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'), {
    description: 'The least severe log lines to write.',
    accepts: 'fatal, error, warn, info, debug, trace or silent',
  }),
});

type Values = z.output<typeof options>;
type Name = keyof Values;
const names = Object.keys(options.shape) as Name[];
const textOf = (name: Name): About => about.get(options.shape[name]) as About;

/** The message is for whoever set the option: a sentence for each thing that is wrong. */
export class ConfigurationError extends Error {
  constructor(readonly problems: string[]) {
    super(problems.join('\n'));
    this.name = 'ConfigurationError';
  }
}

/** An empty variable counts as not set, as compose files have it. */
export function parseOptions(env: Readonly<Record<string, string | undefined>>): Values {
  const problems: string[] = [];
  const given: Partial<Record<Name, string>> = {};
  for (const name of names) {
    const file = textOf(name).secret ? env[`${name}_FILE`] : undefined;
    if (file && env[name]) problems.push(`${name} and ${name}_FILE are both set: keep one of them.`);
    try {
      given[name] = (file ? readFileSync(file, 'utf8').trim() : env[name]) || undefined;
    } catch (error) {
      problems.push(`${name}_FILE must be a file that can be read: ${(error as Error).message}.`);
    }
  }
  const result = options.safeParse(given);
  const wrong = new Set(result.error?.issues.map((issue) => issue.path[0] as Name));
  for (const name of wrong) {
    const { secret, accepts } = textOf(name);
    problems.push(`${name} must be ${accepts}${secret ? '' : `; it is ${JSON.stringify(given[name])}`}.`);
  }
  if (problems.length > 0 || !result.success) throw new ConfigurationError(problems);
  return result.data;
}

/** The table in README, in Markdown. A test keeps the two equal; `npm run docs:config` writes it. */
export function optionsTable(): string {
  const rows = names.map((name) => {
    const { description, accepts, secret, default: shown } = textOf(name);
    const value = shown ?? `\`${String(options.shape[name].parse(undefined))}\``;
    return `| \`${name}\`${secret ? ` or \`${name}_FILE\`` : ''} | ${description} | ${accepts} | ${value} |`;
  });
  return ['| option | what it is | accepts | default |', '| --- | --- | --- | --- |', ...rows].join('\n');
}

/** As W3C baggage: `name=value,…`, percent-encoded. */
function headers(text: string, context: z.RefinementCtx): Record<string, string> {
  try {
    return Object.fromEntries(
      text.split(',').map((pair) => {
        const equals = pair.indexOf('=');
        return [pair.slice(0, equals).trim(), decodeURIComponent(pair.slice(equals + 1).trim())];
      }),
    );
  } catch {
    context.addIssue({ code: 'custom' });
    return z.NEVER;
  }
}

function parsed(text: string): URL | undefined {
  return URL.canParse(text) ? new URL(text) : undefined;
}
