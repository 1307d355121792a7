import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bucketUrl, ConfigurationError, optionsTable, readSettings } from './index.js';

const SECRET = 'x'.repeat(32);
const EXTERNAL = {
  DATABASE_URL: 'postgres://db/sluice',
  TOKEN_SECRET: SECRET,
  STORAGE_SECRET: SECRET,
  PLAYBACK_SECRET: SECRET,
};

function problemsOf(env: Record<string, string>): string[] {
  try {
    readSettings(env);
  } catch (error) {
    if (error instanceof ConfigurationError) return error.problems;
    throw error;
  }
  return [];
}

it('needs nothing, and then embeds everything', () => {
  const settings = readSettings({});
  expect(settings).toMatchObject({
    role: 'all',
    host: '127.0.0.1',
    port: 3000,
    publicUrl: 'http://localhost:3000',
    databaseUrl: null,
    redisUrl: null,
    s3: null,
    tokenSecret: null,
    corsOrigins: '*',
    registration: 'open',
  });
  expect(Object.isFrozen(settings)).toBe(true);
});

it('takes an empty variable as not set, and drops the slash of PUBLIC_URL', () => {
  expect(readSettings({ PORT: '', PUBLIC_URL: 'https://v.example/' })).toMatchObject({
    port: 3000,
    publicUrl: 'https://v.example',
  });
});

it.each([
  ['PORT', '70000', 'PORT must be a whole number from 1 to 65535; it is "70000".'],
  ['PORT', '1e3', 'PORT must be a whole number from 1 to 65535; it is "1e3".'],
  ['ROLE', 'both', 'ROLE must be all, api or worker; it is "both".'],
  ['S3_PATH_STYLE', 'yes', 'S3_PATH_STYLE must be true or false; it is "yes".'],
  ['PUBLIC_URL', 'v.example', 'PUBLIC_URL must be an http or https address; it is "v.example".'],
  [
    'CORS_ORIGINS',
    'https://a.example/x',
    'CORS_ORIGINS must be * for any, or origins such as https://app.example.org separated by commas; it is "https://a.example/x".',
  ],
  [
    'TRUST_PROXY',
    'true',
    'TRUST_PROXY must be false, the number of proxies in front, or their addresses or networks separated by commas; it is "true".',
  ],
  ['ENCODE_CRF', '60', 'ENCODE_CRF must be a whole number from 16 to 40; it is "60".'],
  [
    'ENCODE_PRESET',
    'best',
    'ENCODE_PRESET must be ultrafast, superfast, veryfast, faster, fast, medium, slow or slower; it is "best".',
  ],
  ...[
    '240',
    '240:400,240:800',
    '240:400,360:300',
    '241:400',
    '90:400',
    '240:10',
    '8000:900',
    ''.padEnd(99, '240:400,'),
  ].map((value) => [
    'LADDER',
    value,
    `LADDER must be up to ten of SIDE:KBITS separated by commas, rising in both: even sides of 100 to 4320, 64 to 200000 kbit/s; it is "${value}".`,
  ]),
])('answers a wrong %s (%s) with a sentence', (name, value, sentence) => {
  expect(problemsOf({ [name]: value })).toEqual([sentence]);
});

it('names everything that is wrong at once', () => {
  expect(problemsOf({ PORT: 'x', ROLE: 'x' })).toHaveLength(2);
});

it('never shows a secret', () => {
  expect(problemsOf({ TOKEN_SECRET: 'hunter2' }).join()).not.toContain('hunter2');
  expect(problemsOf({ DATABASE_URL: 'mysql://u:hunter2@h/d' }).join()).not.toContain('hunter2');
});

it('wants the secrets as soon as the database is shared', () => {
  expect(problemsOf({ DATABASE_URL: EXTERNAL.DATABASE_URL }).map((text) => text.split(' ')[0])).toEqual([
    'TOKEN_SECRET',
    'STORAGE_SECRET',
    'PLAYBACK_SECRET',
  ]);
  expect(problemsOf(EXTERNAL)).toEqual([]);
});

it('embeds for ROLE=all alone', () => {
  expect(problemsOf({ ...EXTERNAL, ROLE: 'worker' })).toEqual([
    'ROLE=worker needs REDIS_URL: embedded servers belong to ROLE=all.',
  ]);
});

it('wants all of S3 or nothing', () => {
  expect(problemsOf({ S3_ENDPOINT: 'http://s3:9000', S3_BUCKET: 'videos' })).toEqual([
    'An S3 store also needs S3_ACCESS_KEY, S3_SECRET_KEY.',
  ]);
  const s3 = { S3_ENDPOINT: 'http://s3:9000', S3_BUCKET: 'videos', S3_ACCESS_KEY: 'a', S3_SECRET_KEY: 's' };
  expect(readSettings(s3).s3).toMatchObject({ publicEndpoint: 'http://s3:9000', region: 'us-east-1', pathStyle: true });
});

it('knows where objects are written, and where they may also be', () => {
  const s3 = { S3_ENDPOINT: 'http://s3:9000', S3_BUCKET: 'videos', S3_ACCESS_KEY: 'a', S3_SECRET_KEY: 's' };
  expect(readSettings(s3)).toMatchObject({ storage: null, storageAlso: null });
  expect(readSettings({ ...s3, STORAGE: 'disk', STORAGE_ALSO: 's3' })).toMatchObject({
    storage: 'disk',
    storageAlso: 's3',
    s3: { bucket: 'videos' },
  });
  expect(problemsOf({ STORAGE_ALSO: 's3' })).toEqual([
    'An S3 store also needs S3_ENDPOINT, S3_BUCKET, S3_ACCESS_KEY, S3_SECRET_KEY.',
  ]);
  const doubled: Record<string, string>[] = [
    { STORAGE_ALSO: 'disk' },
    { ...s3, STORAGE_ALSO: 's3' },
    { STORAGE: 'disk', STORAGE_ALSO: 'disk' },
  ];
  for (const same of doubled) {
    expect(problemsOf(same)).toEqual(['STORAGE_ALSO is where objects are written already: leave it out.']);
  }
  expect(problemsOf({ ...s3, S3_CA_FILE: '/nowhere.pem' })).toEqual([
    expect.stringMatching(/^S3_CA_FILE must be a file with certificates in PEM that can be read: ENOENT/),
  ]);
  expect(problemsOf({ ...s3, S3_CA_FILE: import.meta.filename })).toEqual([
    expect.stringMatching(/^S3_CA_FILE must be a file with certificates in PEM that can be read: /),
  ]);
});

it('names the bucket as browsers reach it', () => {
  const s3 = readSettings({
    S3_ENDPOINT: 'http://s3:9000',
    S3_BUCKET: 'videos',
    S3_ACCESS_KEY: 'a',
    S3_SECRET_KEY: 's',
  }).s3;
  const publicEndpoint = 'https://media.example.org:8443';
  if (!s3) throw new Error('S3 is configured.');
  expect(bucketUrl({ ...s3, publicEndpoint }).href).toBe('https://media.example.org:8443/videos');
  expect(bucketUrl({ ...s3, publicEndpoint, pathStyle: false }).href).toBe('https://videos.media.example.org:8443/');
});

it('wants a sender for mail', () => {
  expect(problemsOf({ SMTP_URL: 'smtp://mail' })).toEqual([
    'MAIL_FROM must be set, since SMTP_URL is: the sender of the mail.',
  ]);
  expect(readSettings({ SMTP_URL: 'smtp://mail', MAIL_FROM: 'v@example.org' }).smtp).toEqual({
    url: 'smtp://mail',
    from: 'v@example.org',
  });
});

it('reads where traces go as OpenTelemetry has it', () => {
  expect(readSettings({ OTEL_SERVICE_NAME: 'mine' }).tracing).toBeNull();
  const env = {
    OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318/',
    OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Basic%20dTpw==, x-tenant=a%2Cb',
    OTEL_TRACES_SAMPLER_ARG: '0.25',
  };
  expect(readSettings(env).tracing).toEqual({
    endpoint: 'http://collector:4318',
    headers: { authorization: 'Basic dTpw==', 'x-tenant': 'a,b' },
    serviceName: 'sluice',
    sampled: 0.25,
  });
  expect(problemsOf({ OTEL_TRACES_SAMPLER_ARG: '1.5' })).toEqual([
    'OTEL_TRACES_SAMPLER_ARG must be a number from 0 to 1; it is "1.5".',
  ]);
  for (const wrong of ['hunter2', 'a=%E0%A4%A']) {
    expect(problemsOf({ ...env, OTEL_EXPORTER_OTLP_HEADERS: wrong })).toEqual([
      'OTEL_EXPORTER_OTLP_HEADERS must be name=value pairs separated by commas, values percent-encoded.',
    ]);
  }
});

describe('NAME_FILE', () => {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-config-'));
  const file = join(dir, 'redis');
  beforeAll(() => writeFileSync(file, 'redis://cache:6379\n'));
  afterAll(() => rmSync(dir, { recursive: true }));

  it('gives the value, without the newline at its end', () => {
    expect(readSettings({ REDIS_URL_FILE: file }).redisUrl).toBe('redis://cache:6379');
  });

  it('is not taken beside the option itself, nor when unreadable, nor for what is no secret', () => {
    expect(problemsOf({ REDIS_URL_FILE: file, REDIS_URL: 'redis://a' })).toEqual([
      'REDIS_URL and REDIS_URL_FILE are both set: keep one of them.',
    ]);
    expect(problemsOf({ REDIS_URL_FILE: join(dir, 'none') })[0]).toMatch(
      /^REDIS_URL_FILE must be a file that can be read: ENOENT/,
    );
    expect(readSettings({ PORT_FILE: file }).port).toBe(3000);
  });
});

it('has the same table in README.md (npm run docs:config writes it)', () => {
  const readme = readFileSync(join(import.meta.dirname, '../../../README.md'), 'utf8');
  const [, table] = /<!-- configuration -->\n([\s\S]*?)\n<!-- \/configuration -->/.exec(readme) ?? [];
  expect(table?.trim()).toBe(optionsTable());
});
