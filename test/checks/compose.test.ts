import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { readSettings } from '../../src/common/config/index.js';
import { options } from '../../src/common/config/options.js';

const root = join(import.meta.dirname, '../..');
const read = (...path: string[]) => readFileSync(join(root, ...path), 'utf8');
const FILES = ['docker-compose.yml', 'deploy/traefik/docker-compose.yml'];
const SECRETS = /PASSWORD|SECRET|_KEY\b/;

interface Service {
  image: string;
  build?: string;
  command?: string[];
  environment?: Record<string, string>;
  networks: string[];
  ports?: string[];
  restart: string;
  cap_drop?: string[];
  read_only?: boolean;
  security_opt?: string[];
  healthcheck?: object;
  volumes?: string[];
  deploy?: { resources?: { limits?: { cpus?: string; memory?: string; pids?: number } } };
}
interface Compose {
  services: Record<string, Service>;
  networks?: Record<string, { internal?: boolean } | null>;
}

/** What `deploy/env.sh` writes. */
function generated(...args: string[]): Record<string, string> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-env-'));
  const file = join(folder, '.env');
  try {
    const run = () =>
      execFileSync('sh', [join(root, 'deploy/env.sh'), ...args], {
        env: { PATH: process.env.PATH, ENV_FILE: file },
        stdio: 'pipe',
      });
    run();
    // What is there stays: other secrets would lock the data out.
    expect(run).toThrow(/already/);
    return Object.fromEntries(
      readFileSync(file, 'utf8')
        .split('\n')
        .filter((line) => /^\w+=/.test(line))
        .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** As Compose does after it has parsed the file, of its forms those that we use. */
function interpolate(value: unknown, env: Record<string, string>): unknown {
  if (Array.isArray(value)) return value.map((item) => interpolate(item, env));
  if (value && typeof value === 'object')
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, interpolate(item, env)]));
  if (typeof value !== 'string') return value;
  return value
    .replace(/(?<!\$)\$\{(\w+)(?::([-?])([^}]*))?\}/g, (_, name: string, form = '', fallback = '') => {
      if (env[name]) return env[name];
      if (form === '?') throw new Error(`${name}: ${fallback}`);
      return fallback;
    })
    .replaceAll('$$', '$');
}

function compose(file: string, env: Record<string, string>): Compose {
  return interpolate(parse(read(file), { merge: true }), env) as Compose;
}

const own = generated('https://video.example.org');
const main = compose('docker-compose.yml', own);
const all = Object.entries({
  ...main.services,
  ...compose(FILES[1] as string, { ...own, ACME_EMAIL: 'a@example.org', PUBLIC_HOST: 'x' }).services,
});
const service = (name: string) => main.services[name] as Service;

describe('images', () => {
  it.each(all.map(([name, { image }]) => [name, image]))('%s is pinned: %s', (_, image) => {
    expect(image).toMatch(
      /^[a-z0-9./-]+:v?\d+\.\d+\.\d+[\w.-]*$|^sluice-minio:\d{4}-\d\d-\d\d$|^postgres:\d+\.\d+-\w+$/,
    );
  });

  it.each(['Dockerfile', 'deploy/minio/Dockerfile', 'deploy/edge/Dockerfile'])('%s begins with pinned ones', (file) => {
    const text = read(file);
    const bases = [...text.matchAll(/^FROM (\S+)/gm)].map(([, base]) =>
      base === '$' + '{NODE}' ? /ARG NODE=(\S+)/.exec(text)?.[1] : base,
    );
    expect(bases.length).toBeGreaterThan(0);
    for (const base of bases) expect(base).toMatch(/^[a-z]+:\d+\.\d+\.\d+(-[\w.]+)*$/);
    // None of them ends up as root.
    expect([...text.matchAll(/^USER (\S+)/gm)].map(([, user]) => user)).toEqual([
      expect.not.stringMatching(/^(root|0)/),
    ]);
  });
});

describe('secrets', () => {
  it('are in no file that is committed', () => {
    for (const file of [...FILES, '.env.example']) {
      for (const [, name, value] of read(file).matchAll(/^[^#\n]*?\b(\w+)[:=][ \t]*(.*)$/gm)) {
        if (!SECRETS.test(name as string) || value === '') continue;
        expect(value).toMatch(/^\$\{\w+(:\?[^}]*|:-)?\}$/);
      }
    }
    expect(read('.gitignore').split('\n')).toContain('.env');
  });

  it('are generated, long, and others each time', () => {
    const other = generated('https://video.example.org');
    const names = Object.keys(own).filter((name) => SECRETS.test(name));
    expect(names).toHaveLength(7);
    for (const name of names) {
      expect(own[name]).toMatch(/^[A-Za-z0-9]{48}$/);
      expect(other[name]).not.toBe(own[name]);
    }
    expect(new Set(names.map((name) => own[name])).size).toBe(names.length);
  });

  it('and nothing starts without them', () => {
    expect(() => compose('docker-compose.yml', {})).toThrow(/deploy\/env\.sh/);
  });
});

describe('what the server is told', () => {
  it.each(['api', 'worker'])('%s: known options with values that it takes', (name) => {
    const environment = Object.fromEntries(
      Object.entries(service(name).environment ?? {}).map(([key, value]) => [key, String(value)]),
    );
    expect(Object.keys(environment).filter((key) => !(key in options.shape))).toEqual([]);
    expect(readSettings({ ...environment, HOST: '0.0.0.0' })).toMatchObject({
      role: name,
      publicUrl: 'https://video.example.org',
      trustProxy: 1,
      registration: 'closed',
      s3: { publicEndpoint: 'https://video.example.org', bucket: 'sluice' },
    });
  });

  it('.env.example has every variable that the files ask for, and no other', () => {
    const asked = new Set([...read('docker-compose.yml').matchAll(/(?<!\$)\$\{(\w+)/g)].map(([, name]) => name));
    const offered = [...read('.env.example').matchAll(/^(\w+)=/gm)].map(([, name]) => name);
    const optional = ['S3_BUCKET', 'OUTER_SUBNET'];
    expect([...offered].sort()).toEqual(
      [...asked, 'COMPOSE_PROFILES'].filter((name) => !optional.includes(name as string)).sort(),
    );
  });

  it('the edge has every variable of its templates', () => {
    const templates = readdirSync(join(root, 'deploy/edge')).filter((name) => name.endsWith('.template'));
    const asked = new Set(
      templates.flatMap((name) => [...read('deploy/edge', name).matchAll(/\$\{(\w+)\}/g)].map(([, v]) => v as string)),
    );
    const given = [...read('deploy/edge/Dockerfile').matchAll(/\b((?:EDGE|NGINX)_\w+)=/g)].map(([, name]) => name);
    const set = new Set([...given, ...Object.keys(service('edge').environment ?? {})]);
    expect([...asked].filter((name) => !set.has(name))).toEqual([]);
    expect(asked.size).toBeGreaterThan(10);
  });

  it('connections of all processes fit into PostgreSQL, with a reserve', () => {
    const number = (name: string) => Number(own[name]);
    const sum = (number('API_REPLICAS') + number('WORKER_REPLICAS')) * number('DATABASE_POOL_SIZE');
    expect(sum).toBeLessThanOrEqual(number('POSTGRES_MAX_CONNECTIONS') - 20);
    expect(service('postgres').command).toContain(`max_connections=${own.POSTGRES_MAX_CONNECTIONS}`);
  });
});

describe('each way to run it', () => {
  it.each([
    [
      ['http://localhost:8080'],
      { EDGE_HTTP: '8080', EDGE_TLS: 'off', EDGE_TRUSTED_PROXY: 'unix:', COMPOSE_PROFILES: '' },
    ],
    [['http://10.0.0.5'], { EDGE_HTTP: '80', EDGE_TLS: 'off' }],
    [
      ['https://v.example.org/'],
      { PUBLIC_URL: 'https://v.example.org', COMPOSE_PROFILES: 'caddy', EDGE_HTTP: '127.0.0.1:8080' },
    ],
    [
      ['https://v.example.org', 'files'],
      { EDGE_HTTP: '80', EDGE_HTTPS: '443', EDGE_TLS: 'on', EDGE_TRUSTED_PROXY: 'unix:' },
    ],
    [
      ['https://v.example.org', 'proxy'],
      { EDGE_HTTP: '127.0.0.1:8080', EDGE_TRUSTED_PROXY: '172.30.253.0/24', COMPOSE_PROFILES: '' },
    ],
  ])('%j', (args, expected) => {
    expect(generated(...args)).toMatchObject(expected);
  });

  it.each([['video.example.org'], ['https://v.example.org', 'nonsense']])('and not %s %s', (...args) => {
    expect(() => generated(...args)).toThrow();
  });
});

describe('walls', () => {
  it('workers and what holds data have no way out, and nobody comes in but through the edge', () => {
    expect(main.networks?.inner).toEqual({ internal: true });
    for (const name of ['worker', 'postgres', 'redis', 'minio']) expect(service(name).networks).toEqual(['inner']);
    const open = Object.entries(main.services).filter(([, { ports }]) => ports);
    expect(open.map(([name]) => name)).toEqual(['edge', 'caddy']);
  });

  it.each(all)('%s has no right that it does not need, bounds, and comes back', (name, it) => {
    expect(it.cap_drop).toEqual(['ALL']);
    expect(it.read_only).toBe(true);
    expect(it.security_opt).toContain('no-new-privileges:true');
    expect(it.restart).toBe('unless-stopped');
    expect(it.deploy?.resources?.limits).toEqual({
      cpus: expect.any(String),
      memory: expect.any(String),
      pids: expect.any(Number),
    });
    // The others say so in their Dockerfile.
    const image = {
      api: 'Dockerfile',
      worker: 'Dockerfile',
      minio: 'deploy/minio/Dockerfile',
      edge: 'deploy/edge/Dockerfile',
    }[name];
    expect(Boolean(it.healthcheck) || (image && read(image).includes('\nHEALTHCHECK'))).toBe(true);
  });

  it('Redis keeps what it is told, and evicts nothing', () => {
    expect(service('redis').command?.at(-1)).toMatch(
      /--appendonly yes --maxmemory-policy noeviction --lazyfree-lazy-expire yes --requirepass/,
    );
  });

  it("a worker's scratch is its own", () => {
    expect(service('worker').volumes).toEqual(['/data']);
  });
});
