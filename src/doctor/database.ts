import { readdir } from 'node:fs/promises';
import pg from 'pg';
import type { Config } from '../common/config/index.js';
import { BEHIND } from '../common/jobs/index.js';
import type { Area } from './check.js';
import { MOST_SKEW_MS, skewInWords } from './clock.js';

const OLDEST = 15;
const OVERDUE_MINUTES = 5;

export function databaseArea(config: Config, migrations: string): Area {
  const client = new pg.Client({
    connectionString: config.databaseUrl,
    connectionTimeoutMillis: 5_000,
    query_timeout: 10_000,
    application_name: 'sluice-doctor',
  });
  // Told by whichever query meets it.
  client.on('error', () => undefined);
  let connected = false;
  const ask = async <Row extends pg.QueryResultRow>(sql: string, values: unknown[] = []) =>
    (await client.query<Row>(sql, values)).rows;

  return {
    name: 'database',
    close: async () => {
      if (connected) await client.end();
    },
    checks: [
      {
        code: 'DATABASE_AWAY',
        right: 'it answers',
        needed: true,
        todo: 'Start PostgreSQL, or mend host, port, user, password or database of DATABASE_URL.',
        look: async () => {
          await client.connect();
          connected = true;
          await ask('SELECT 1');
          return null;
        },
      },
      {
        code: 'DATABASE_TOO_OLD',
        right: `it is PostgreSQL ${OLDEST} or newer`,
        needed: true,
        todo: `Move to PostgreSQL ${OLDEST} or newer (npm run backup, then npm run restore into the new one).`,
        look: async () => {
          const [row] = await ask<{ major: number; version: string }>(
            `SELECT current_setting('server_version_num')::int / 10000 AS major, current_setting('server_version') AS version`,
          );
          return row && row.major < OLDEST ? `It is PostgreSQL ${row.version}.` : null;
        },
      },
      {
        code: 'DATABASE_CLOCK_SKEW',
        right: 'its clock agrees with the one here',
        todo: 'Set the clock of both machines by NTP (chrony, systemd-timesyncd): every deadline is the database’s time.',
        look: async () => {
          const before = Date.now();
          const [row] = await ask<{ at: Date }>('SELECT clock_timestamp() AS at');
          const after = Date.now();
          const skew = Number(row?.at) - (before + after) / 2;
          return Math.abs(skew) > MOST_SKEW_MS + (after - before) / 2 ? skewInWords(skew) : null;
        },
      },
      {
        code: 'DATABASE_CONNECTIONS',
        right: 'it has room for the pools of all processes',
        todo: 'Raise max_connections of PostgreSQL, lower DATABASE_POOL_SIZE or the number of processes, or put PgBouncer (session pooling) between.',
        look: async () => {
          const [row] = await ask<{ pools: number | null; processes: number; others: number; most: number }>(
            `WITH connection AS (SELECT application_name AS name FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()),
                  process AS (SELECT DISTINCT name, substring(name FROM '^sluice (\\d+) ')::int AS size FROM connection WHERE name ~ '^sluice \\d+ ')
             SELECT (SELECT sum(size)::int FROM process) AS pools, (SELECT count(*)::int FROM process) AS processes,
                    (SELECT count(*)::int FROM connection WHERE name !~ '^sluice \\d+ ') AS others,
                    current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int AS most`,
          );
          const { pools, processes = 0, others = 0, most = 0 } = row ?? { pools: null };
          const wanted = pools ?? config.databasePoolSize;
          if (wanted + others <= most) return null;
          return `${Math.max(1, processes)} processes may open ${wanted} connections, others hold ${others}, and it takes ${most}.`;
        },
      },
      {
        code: 'SCHEMA_OTHER',
        right: 'its schema is the one of this build',
        needed: true,
        todo: 'Run npm run migrate with the newest build (every start of a server does so, too).',
        look: async () => {
          const files = (await readdir(migrations)).filter((name) => name.endsWith('.sql'));
          const [table] = await ask<{ found: string | null }>(`SELECT to_regclass('migration')::text AS found`);
          const run = table?.found
            ? (await ask<{ name: string }>('SELECT name FROM migration')).map((row) => row.name)
            : [];
          const [pending, newer] = [
            files.filter((name) => !run.includes(name)),
            run.filter((name) => !files.includes(name)),
          ];
          if (newer.length > 0) return `A newer build has migrated it: ${newer.join(', ')}.`;
          return pending.length > 0 ? `${pending.length} migrations were not run: ${pending.join(', ')}.` : null;
        },
      },
      {
        code: 'JOBS_OVERDUE',
        right: 'jobs that are due are worked off',
        todo: 'Start a worker (ROLE=worker or ROLE=all; for the queue push ROLE=api or ROLE=all) of this build, and look into its log.',
        look: async () => {
          // A long queue is no fault as long as something of it is done, or of the one that goes first.
          const overdue = await ask<{ queue: string; count: number; minutes: number }>(
            `SELECT queue, count(*)::int AS count, floor(extract(epoch FROM now() - min(run_at)) / 60)::int AS minutes
             FROM job j WHERE state = 'QUEUED' AND run_at < now() - make_interval(mins => $1)
               AND NOT EXISTS (SELECT FROM job o WHERE o.queue IN (j.queue, $2::jsonb ->> j.queue) AND (
                 (o.state = 'RUNNING' AND o.lease_until > now()) OR (o.state = 'DONE' AND o.finished_at > now() - make_interval(mins => $1))))
             GROUP BY queue ORDER BY queue`,
            [OVERDUE_MINUTES, BEHIND],
          );
          if (overdue.length === 0) return null;
          return overdue
            .map((row) => `Queue ${row.queue}: ${row.count} jobs wait, since ${row.minutes} minutes.`)
            .join(' ');
        },
      },
    ],
  };
}
