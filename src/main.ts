import { fileURLToPath } from 'node:url';
import { type Config, readSettings, type Settings } from './common/config/index.js';
import { migrate } from './common/database/migrations.js';
import { embed } from './embedded/index.js';
import { explain } from './explain.js';

/** What does not end within this is ended: a lease or a client's retry repairs it. */
const DRAIN_MS = 15_000;
/** For the embedded servers, after that. */
const EMBEDDED_MS = 5_000;

let starting: Promise<void> | undefined;
let stopping = false;
let stopEmbedded: () => Promise<void> = async () => undefined;
const stops: (() => Promise<void>)[] = [];

/** Once, in the opposite order of starting; then the process ends. */
async function stop(exitCode: number): Promise<void> {
  if (stopping) return;
  stopping = true;
  setTimeout(() => {
    process.stderr.write(`Not everything ended within ${DRAIN_MS / 1000} s: leaving it.\n`);
    // What is embedded has no other who would end it.
    setTimeout(() => process.exit(exitCode || 1), EMBEDDED_MS).unref();
    void stopEmbedded().finally(() => process.exit(exitCode || 1));
  }, DRAIN_MS).unref();
  await Promise.allSettled([starting]);
  for (let next = stops.pop(); next; next = stops.pop()) {
    try {
      await next();
    } catch (error) {
      process.stderr.write(explain(error));
      exitCode ||= 1;
    }
  }
  process.exit(exitCode);
}

async function prepare(settings: Settings): Promise<Config> {
  const { config, stop } = await embed(settings);
  stopEmbedded = stop;
  stops.push(stop);
  await migrate(config.databaseUrl, fileURLToPath(new URL('../migrations/', import.meta.url)));
  return config;
}

async function start(settings: Settings): Promise<void> {
  // Loading the application's modules takes as long as starting the servers and migrating: both at once.
  const [prepared, loaded] = await Promise.allSettled([prepare(settings), import('./create-app.js')]);
  if (prepared.status === 'rejected') throw prepared.reason;
  if (loaded.status === 'rejected') throw loaded.reason;
  const config = prepared.value;
  const { createApp } = loaded.value;

  const app = await createApp(config);
  if (settings.databaseUrl === null) {
    // The embedded database has no other user, so whatever is still leased belonged to a process that is gone.
    const [{ JobWorker }, { UploadWriters }] = await Promise.all([
      import('./common/jobs/index.js'),
      import('./modules/uploads/index.js'),
    ]);
    await app.get(JobWorker, { strict: false }).releaseAll();
    await app.get(UploadWriters, { strict: false }).releaseAll();
  }
  // Nest's own hooks do the draining: /readyz says so, no new job is taken, sockets are closed, connections last.
  stops.push(() => app.close());
  await app.listen(config.port, config.host);

  if (config.role === 'worker') {
    process.stdout.write(`Sluice works off jobs, and answers /livez, /readyz and /metrics at port ${config.port}.\n`);
    return;
  }
  const { SetupService } = await import('./modules/auth/index.js');
  const setupLink = await app.get(SetupService, { strict: false }).linkOnFirstStart();
  process.stdout.write(`Sluice is ready: ${config.publicUrl}\n`);
  if (setupLink !== null) process.stdout.write(`Make the administrator with this link, once: ${setupLink}\n`);
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void stop(0));

try {
  starting = start(readSettings());
  await starting;
} catch (error) {
  if (!stopping) process.stderr.write(explain(error));
  await stop(1);
}
