import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { createUpload } from '../client/src/node.js';
import { startLink } from '../test/support/link.js';
import { graphql, type Place } from './place.js';
import { median, shuffled, spread, table } from './report.js';

/** 4 Mbit/s. */
const BYTES_PER_SECOND = 500_000;
const SECONDS = 52;
const LOOK_MS = 100;

interface Way {
  /** Where the film's index stands. */
  index: 'in front' | 'at the end';
  early: boolean;
}
interface Measured extends Way {
  /** From the beginning of the upload until the owner has the first segment of picture and sound. */
  first: number[];
  /** Until its last byte is verified, and from then until READY. */
  sent: number[];
  rest: number[];
}
export interface EarlyMeasured {
  bytes: number;
  ways: Measured[];
}

/** A film of 52 s and 17 MB over 4 Mbit/s, by our own client, with the early start and without. */
export async function measureEarly(place: Place, { rounds }: { rounds: number }): Promise<EarlyMeasured> {
  const [front, end] = [join(place.folder, 'front.mp4'), join(place.folder, 'end.mp4')];
  const ffmpeg = (...args: string[]) => promisify(execFile)('ffmpeg', ['-nostdin', '-v', 'error', '-y', ...args]);
  await ffmpeg(
    ...['-f', 'lavfi', '-i', `testsrc2=size=1280x720:rate=30:duration=${SECONDS}`],
    ...['-f', 'lavfi', '-i', `sine=frequency=440:sample_rate=48000:duration=${SECONDS}`],
    ...['-vf', 'noise=alls=8:allf=t', '-c:v', 'libx264', '-preset', 'ultrafast', '-b:v', '2480k', '-maxrate', '2480k'],
    ...['-bufsize', '2480k', '-g', '60', '-pix_fmt', 'yuv420p', '-c:a', 'aac', '-b:a', '128k', end],
  );
  await ffmpeg('-i', end, '-c', 'copy', '-movflags', '+faststart', front);

  // One does all the work for both: whether a film is begun early is settled where its upload begins.
  const lanes = await Promise.all(
    [true, false].map(async (early) => {
      let server = { url: '' };
      const link = await startLink(() => server.url, { bytesPerSecond: BYTES_PER_SECOND });
      place.onClose(async () => link.stop());
      const env = { PUBLIC_URL: link.url, ROLE: early ? 'all' : 'api', EARLY_PROCESSING: String(early) };
      server = await place.start('dist/main.js', '/readyz', env);
      return { early, link, server };
    }),
  );
  const ways = lanes.flatMap((lane) =>
    (['in front', 'at the end'] as const).map((index) => ({ ...lane, index, first: [], sent: [], rest: [] })),
  );
  const measured: Measured[] = ways.map(({ early, index }) => ({ early, index, first: [], sent: [], rest: [] }));
  for (let round = 0; round < rounds; round++) {
    for (const [at, { server, link, index }] of shuffled([...ways.entries()])) {
      const found = await watch(server.url, link.url, index === 'in front' ? front : end);
      for (const name of ['first', 'sent', 'rest'] as const) measured[at]?.[name].push(found[name]);
    }
  }
  return { bytes: (await stat(front)).size, ways: measured };
}

async function watch(
  server: string,
  link: string,
  file: string,
): Promise<{ first: number; sent: number; rest: number }> {
  const account = { email: `${randomBytes(6).toString('hex')}@example.org`, password: 'correct horse battery' };
  const { register } = await graphql<{ register: { session: { accessToken: string } } }>(
    server,
    'mutation ($input: RegisterInput!) { register(input: $input) { session { accessToken } } }',
    { input: { ...account, displayName: 'Ada' } },
  );
  const token = register.session.accessToken;
  const { createChannel } = await graphql<{ createChannel: { channel: { id: string } } }>(
    server,
    'mutation ($input: CreateChannelInput!) { createChannel(input: $input) { channel { id } } }',
    { input: { handle: `bench-${randomBytes(4).toString('hex')}`, name: 'Bench' } },
    token,
  );
  const upload = createUpload(file, { endpoint: link, token, channelId: createChannel.channel.id, lane: 'append' });
  const begun = performance.now();
  const seconds = () => (performance.now() - begun) / 1000;
  const sending = upload.start().then(() => seconds());
  // It is waited for below, or the run is over.
  sending.catch((error: Error) => process.stderr.write(`${error.message}\n`));

  const look = async () => {
    const id = upload.snapshot.videoId;
    const { video } = id
      ? await graphql<{ video: { state: string; playback: { hlsUrl: string } | null } }>(
          server,
          'query ($id: ID!) { video(id: $id) { state playback { hlsUrl } } }',
          { id },
          token,
        )
      : { video: { state: 'UPLOADING', playback: null } };
    if (video.state === 'FAILED') throw new Error('The film was refused.');
    return video;
  };
  let first: number | null = null;
  for (;;) {
    const { state, playback } = await look();
    if (first === null && playback) {
      await load(playback.hlsUrl.replace(link, server));
      first = seconds();
    }
    if (state === 'READY' && first !== null) {
      const ready = seconds();
      const sent = await sending;
      return { first, sent, rest: ready - sent };
    }
    await pause(LOOK_MS);
  }
}

/** What a player takes before it shows a frame. */
async function load(master: string): Promise<void> {
  const text = await (await fetch(master)).text();
  const playlists = [...text.matchAll(/(r\d+\/\w+)\/index\.m3u8/g)].map(([, folder]) => folder as string);
  const lowest = playlists.find((folder) => !folder.endsWith('audio'));
  const sound = playlists.find((folder) => folder.endsWith('audio'));
  for (const folder of [lowest, sound]) {
    for (const name of ['index.m3u8', 'init.mp4', '1.m4s']) {
      const answer = await fetch(master.replace('master.m3u8', `${folder}/${name}`));
      await answer.arrayBuffer();
      if (!answer.ok) throw new Error(`${folder}/${name}: ${answer.status}`);
    }
  }
}

export function earlyTable({ bytes, ways }: EarlyMeasured): string {
  const rows = ways.map((way) => {
    const other = ways.find(({ early, index }) => !early && index === way.index) as Measured;
    const ratios = way.first.map((first, round) => first / (other.first[round] as number));
    return [
      way.early ? 'early' : 'afterwards',
      way.index,
      spread(way.first, 1),
      median(ratios).toFixed(2),
      spread(way.sent, 1),
      spread(way.rest, 1),
    ];
  });
  const head = [
    'processing',
    'index',
    's to the first frame',
    '× afterwards',
    's to the last byte, verified',
    's from then to READY',
  ];
  return `${SECONDS} s, ${(bytes / 1e6).toFixed(1)} MB, 4 Mbit/s\n\n${table(head, rows)}`;
}
