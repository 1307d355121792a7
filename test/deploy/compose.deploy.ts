import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureCompose } from '../../scripts/compose.mjs';

const root = join(import.meta.dirname, '../..');
let program: string;
let folder: string;

beforeAll(() => {
  program = ensureCompose();
  folder = mkdtempSync(join(tmpdir(), 'sluice-env-'));
}, 900_000);

afterAll(() => rmSync(folder, { recursive: true }));

/** What Compose makes of the files, with the .env that our script writes. */
function config(files: string[], args: string[], more: Record<string, string> = {}) {
  const env = { PATH: process.env.PATH, HOME: folder, ...more };
  const file = join(folder, `${args.join('-').replace(/\W+/g, '-')}.env`);
  execFileSync('sh', [join(root, 'deploy/env.sh'), ...args], { env: { ...env, ENV_FILE: file }, stdio: 'pipe' });
  const options = files.flatMap((name) => ['-f', join(root, name)]);
  const output = execFileSync(program, [...options, '--env-file', file, 'config', '--format', 'json'], {
    env,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return JSON.parse(output);
}

it.each([
  [['http://localhost:8080'], ['docker-compose.yml'], ['api', 'edge', 'minio', 'postgres', 'redis', 'worker']],
  [
    ['https://video.example.org'],
    ['docker-compose.yml'],
    ['api', 'caddy', 'edge', 'minio', 'postgres', 'redis', 'worker'],
  ],
  [
    ['https://video.example.org', 'proxy'],
    ['docker-compose.yml', 'deploy/traefik/docker-compose.yml'],
    ['api', 'edge', 'minio', 'postgres', 'redis', 'traefik', 'worker'],
  ],
])('Compose takes the files as they are: %j', (args, files, services) => {
  const project = config(files, args, { ACME_EMAIL: 'ada@example.org', PUBLIC_HOST: 'video.example.org' });
  expect(Object.keys(project.services).sort()).toEqual(services);
  expect(project.networks.inner.internal).toBe(true);
  expect(Object.keys(project.services.worker.networks)).toEqual(['inner']);
  expect(project.services.api.environment.PUBLIC_URL).toBe(args[0]);
  expect(project.services.redis.command.at(-1)).toContain('"$$REDIS_PASSWORD"');
  expect(project.services.worker.deploy).toMatchObject({ replicas: 1 });
  expect(
    JSON.parse(readFileSync(project.services.worker.security_opt[1].replace(/^seccomp:/, ''), 'utf8')),
  ).toMatchObject({
    defaultAction: 'SCMP_ACT_ALLOW',
  });
});

it('and stops with a sentence where there is no .env', () => {
  const empty = join(folder, 'empty.env');
  execFileSync('touch', [empty]);
  expect(() =>
    execFileSync(program, ['-f', join(root, 'docker-compose.yml'), '--env-file', empty, 'config'], {
      env: { PATH: process.env.PATH, HOME: folder },
      stdio: 'pipe',
    }),
  ).toThrow(/run sh deploy\/env\.sh first/);
});
