import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { DiskStorage } from '../src/modules/storage/disk-storage.js';
import { expiryFor, signToken } from '../src/modules/streaming/playback-token.js';
import { startEdge } from '../test/support/edge.js';
import { cpuSecondsSince, cpuTimes, family } from './cpu.js';
import { freePort, type Place } from './place.js';
import { median, shuffled, spread, table } from './report.js';
import { type Options, warmUp } from './requests.js';

const SEGMENT_BYTES = 1_000_000;
const SEGMENTS = 192;
/** So many of them fit into the application's memory for hot segments; of all, a third does. */
const FEW = 32;
const WARM_SECONDS = 0.5;

interface Delivered {
  server: string;
  /** How many there are to ask for, one after the other. */
  segments: number;
  connections: number;
  /** Of each round: megabytes a second of processor time, and a second of the clock. */
  perCpu: number[];
  perSecond: number[];
}

export async function measureDelivery(place: Place, options: Options): Promise<Delivered[]> {
  const edgePort = await freePort();
  const sluice = await place.start('dist/main.js', '/readyz', {
    ROLE: 'api',
    LOG_LEVEL: 'info',
    TRUST_PROXY: '1',
    PUBLIC_URL: `http://127.0.0.1:${edgePort}`,
  });
  const edge = await startEdge({ apis: [sluice.url], port: edgePort });
  place.onClose(() => edge.stop());
  const { files, paths } = await storeSegments(place);
  const nginx = await plainNginx(place, files);

  // What an edge's clients cost is the edge's work and the application's: it asks whether each token still holds.
  const servers = {
    nginx: { url: nginx.url, paths: paths.map((_, index) => `/${index + 1}.m4s`), pids: family(nginx.pid) },
    Sluice: { url: sluice.url, paths, pids: [sluice.pid] },
    'edge and Sluice': { url: edge.url, paths, pids: [...family(edge.pid), sluice.pid] },
  };
  const cells = Object.entries(servers)
    .filter(([name]) => !options.only || name.includes(options.only))
    .flatMap(([name, server]) =>
      [FEW, SEGMENTS].flatMap((segments) =>
        options.at.map((connections) => ({ name, segments, connections, ...server })),
      ),
    );
  const run = ({ url, paths: all, segments, connections }: (typeof cells)[number], seconds: number) =>
    place.load({
      requests: all.slice(0, segments).map((path) => ({ url: `${url}${path}` })),
      headers: {},
      connections,
      seconds,
    });

  for (const cell of cells) {
    await warmUp(async (seconds) => {
      const result = await run(cell, seconds);
      const { requests, bytes } = result;
      if (bytes !== requests * SEGMENT_BYTES)
        throw new Error(`${cell.name} gave ${bytes} bytes in ${requests} answers.`);
      return result;
    });
  }
  const delivered = cells.map(
    ({ name, segments, connections }): Delivered => ({
      server: name,
      segments,
      connections,
      perCpu: [],
      perSecond: [],
    }),
  );
  for (let round = 1; round <= options.rounds; round++) {
    for (const [index, cell] of shuffled([...cells.entries()])) {
      // What others asked for meanwhile is out of the caches again.
      await run(cell, WARM_SECONDS);
      await pause(50);
      const [before, began] = [cpuTimes(cell.pids), performance.now()];
      const { bytes } = await run(cell, options.seconds);
      const of = delivered[index] as Delivered;
      of.perCpu.push(bytes / 1e6 / cpuSecondsSince(before));
      of.perSecond.push(bytes / 1e3 / (performance.now() - began));
    }
    process.stderr.write(`round ${round} of ${options.rounds} done\n`);
  }
  return delivered;
}

export function deliveryTable(delivered: readonly Delivered[]): string {
  const rows = delivered.map(({ server, segments, connections, perCpu, perSecond }) => {
    const nginx = delivered.find(
      (one) => one.server === 'nginx' && one.segments === segments && one.connections === connections,
    );
    const ratio = nginx && median(perCpu.map((value, round) => value / (nginx.perCpu[round] as number)));
    return [
      server,
      String(segments),
      String(connections),
      spread(perCpu, 0),
      ratio?.toFixed(2) ?? '',
      spread(perSecond, 0),
    ];
  });
  return table(['server', 'segments', 'at once', 'MB a second of CPU', '× nginx', 'MB a second'], rows);
}

/** A video whose segments are objects of the application's store, and the same bytes as plain files. */
async function storeSegments({ db, folder, secret }: Place): Promise<{ files: string; paths: string[] }> {
  const files = join(folder, 'files');
  await mkdir(files);
  const storage = new DiskStorage({ root: join(folder, 'data/storage'), publicUrl: '', signingSecret: '' });
  const first = async (sql: string, values: unknown[] = []) => (await db.query(sql, values)).rows[0].id as string;
  const user = await first(
    `INSERT INTO app_user (email, email_key, display_name, password_hash) VALUES ('a', 'a', 'Ada', '-') RETURNING id`,
  );
  const channel = await first(`INSERT INTO channel (handle, handle_key, name) VALUES ('a', 'a', 'a') RETURNING id`);
  const video = await first(
    `INSERT INTO video (channel_id, owner_id, title, visibility, state, verified_at, duration_ms)
     VALUES ($1, $2, 'A walk', 'PUBLIC', 'READY', now(), 60000) RETURNING id`,
    [channel, user],
  );
  await db.query(
    `INSERT INTO rendition (video_id, run, name, kind, position, timescale, max_bits_per_second, segment_count, segment_duration,
                            total_duration, codecs, init)
     VALUES ($1, 1, '720p', 'VIDEO', 0, 15360, 2000000, $2::int, 61440, $2::int * 61440, 'avc1.64001f', '\\x00')`,
    [video, SEGMENTS],
  );
  const token = signToken(secret, video, { epoch: 1, expiresAt: expiryFor(Date.now() / 1000, 6 * 3600) });
  const paths: string[] = [];
  for (let number = 1; number <= SEGMENTS; number++) {
    const bytes = randomBytes(SEGMENT_BYTES);
    const key = `media/${video}/1/720p/${number}`;
    await writeFile(join(files, `${number}.m4s`), bytes);
    await storage.put(key, bytes);
    await db.query(`INSERT INTO stored_object (key, size_bytes, state) VALUES ($1, $2, 'KEPT')`, [key, SEGMENT_BYTES]);
    await db.query(
      `INSERT INTO segment (video_id, run, rendition, number, object_key, byte_offset, byte_size, duration)
       VALUES ($1, 1, '720p', $2, $3, 0, $4, 61440)`,
      [video, number, key, SEGMENT_BYTES],
    );
    paths.push(`/media/${token}/${video}/r1/720p/${number}.m4s`);
  }
  return { files, paths };
}

/** nginx as one would have it serve a folder of files. */
async function plainNginx(place: Place, files: string): Promise<{ url: string; pid: number }> {
  const port = await freePort();
  const folder = join(place.folder, 'nginx');
  await mkdir(folder);
  await writeFile(
    join(folder, 'nginx.conf'),
    `worker_processes auto; pid ${folder}/nginx.pid; error_log stderr; ${process.getuid?.() === 0 ? 'user root;' : ''}
     events { worker_connections 1024; }
     http {
       default_type video/mp4; sendfile on; tcp_nopush on; access_log ${folder}/access.log; keepalive_requests 10000;
       open_file_cache max=1000 inactive=60s;
       client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/fastcgi;
       uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;
       server { listen 127.0.0.1:${port}; root ${files}; }
     }`,
  );
  const child = spawn('nginx', ['-p', folder, '-c', join(folder, 'nginx.conf'), '-g', 'daemon off;'], {
    env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  place.onClose(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGTERM');
    await once(child, 'exit');
  });
  const url = `http://127.0.0.1:${port}`;
  await place.answers(`${url}/1.m4s`, () => child.exitCode === null);
  return { url, pid: child.pid as number };
}
