import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { freePort } from './app.js';
import { temporaryFolder } from './servers.js';

const TEMPLATES = join(import.meta.dirname, '../../deploy/edge');
const READY_MS = 10_000;

export interface EdgeOptions {
  /** `http://127.0.0.1:PORT` of each api process. */
  apis: readonly string[];
  /** `http://127.0.0.1:PORT` of the S3 store; its bucket is served at `/BUCKET/incoming/`. */
  store?: string;
  bucket?: string;
  /** Paths of a certificate and its key: `url` is then https, and `plainUrl` redirects to it. */
  tls?: { certificate: string; key: string };
  /** To be known beforehand, since it is in the PUBLIC_URL of the api processes. */
  port?: number;
  /** Whose X-Forwarded-For counts: an address or a network. */
  trustedProxy?: string;
}

export interface Edge {
  readonly url: string;
  /** Of the port without TLS. */
  readonly plainUrl: string;
  readonly pid: number;
  /** What it holds: `cache`, `tmp` and `access.log`. */
  readonly folder: string;
  /** Of its error log. */
  output(): string;
  /** Ends it and removes its folder. */
  stop(): Promise<void>;
}

/** The nginx of this machine, or that of SLUICE_TEST_NGINX, on the configuration that compose has, filled with the same variables. */
export async function startEdge(options: EdgeOptions): Promise<Edge> {
  const folder = await temporaryFolder();
  const [port, other] = [options.port ?? (await freePort()), await freePort()];
  const [plainPort, tlsPort] = options.tls ? [other, port] : [port, other];
  const url = options.tls ? `https://127.0.0.1:${port}` : `http://127.0.0.1:${port}`;
  await writeFile(join(folder, 'access.log'), '');
  for (const name of ['cache', 'tmp', 'conf']) await mkdir(join(folder, name));
  const variables = {
    PUBLIC_URL: url,
    EDGE_CONF: join(folder, 'conf'),
    EDGE_TMP: join(folder, 'tmp'),
    EDGE_CACHE: join(folder, 'cache'),
    EDGE_CACHE_SIZE: '1g',
    EDGE_PORT: `127.0.0.1:${plainPort}`,
    EDGE_TLS_PORT: `127.0.0.1:${tlsPort}`,
    EDGE_TLS: options.tls ? 'on' : 'off',
    EDGE_CERTIFICATE: options.tls?.certificate ?? '',
    EDGE_CERTIFICATE_KEY: options.tls?.key ?? '',
    EDGE_API: options.apis.map(serverLine).join(' '),
    EDGE_STORE: options.store ? serverLine(options.store) : 'server 127.0.0.1:9 down;',
    EDGE_BUCKET: options.bucket ?? '-',
    EDGE_RESOLVER: '127.0.0.1',
    EDGE_TRUSTED_PROXY: options.trustedProxy ?? 'unix:',
    EDGE_ACCESS_LOG: join(folder, 'access.log'),
  };
  await render(TEMPLATES, variables);

  // As root, nginx would have its workers be somebody who may not enter the folder.
  const asUs = process.getuid?.() === 0 ? ' user root;' : '';
  const child = spawn(
    process.env.SLUICE_TEST_NGINX ?? 'nginx',
    ['-p', folder, '-c', join(folder, 'conf/nginx.conf'), '-g', `daemon off;${asUs}`],
    { env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` }, stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let output = '';
  child.stderr?.on('data', (bytes) => (output += bytes));
  child.on('error', (error) => (output += error.message));
  const edge: Edge = {
    url,
    plainUrl: `http://127.0.0.1:${plainPort}`,
    pid: child.pid as number,
    folder,
    output: () => output,
    stop: async () => {
      await end(child);
      await rm(folder, { recursive: true, force: true });
    },
  };
  // Its plain port answers even where TLS redirects.
  const answers = () =>
    fetch(`${edge.plainUrl}/edge/health`, { redirect: 'manual' }).then(
      () => true,
      () => false,
    );
  for (const begun = performance.now(); !(await answers()); await pause(20)) {
    if (hasEnded(child) || performance.now() - begun > READY_MS) {
      await edge.stop();
      throw new Error(`nginx did not start. Its output:\n${output}`);
    }
  }
  return edge;
}

function serverLine(url: string): string {
  return `server ${new URL(url).host} max_fails=3 fail_timeout=2s;`;
}

/** As envsubst does: a variable that is not ours stays, and is nginx's own. */
async function render(templates: string, variables: Record<string, string>): Promise<void> {
  const suffix = '.template';
  for (const name of await readdir(templates)) {
    if (!name.endsWith(suffix)) continue;
    const text = await readFile(join(templates, name), 'utf8');
    const filled = text.replace(/\$\{(\w+)\}/g, (whole, variable: string) => variables[variable] ?? whole);
    await writeFile(join(variables.EDGE_CONF as string, name.slice(0, -suffix.length)), filled);
  }
}

function hasEnded(child: ChildProcess): boolean {
  return child.pid === undefined || child.exitCode !== null || child.signalCode !== null;
}

async function end(child: ChildProcess): Promise<void> {
  if (hasEnded(child)) return;
  const ended = once(child, 'exit');
  // At once: SIGQUIT would wait for streams that tests leave open.
  child.kill('SIGTERM');
  await ended;
}
