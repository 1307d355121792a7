import { setTimeout as pause } from 'node:timers/promises';
import { createUpload, UploadError } from '../node.js';
import { durationText, sizeText } from '../units.js';
import { ask } from './api.js';
import { parse } from './args.js';
import { type LeftOut, type VideoFile, videosOf } from './files.js';
import { accessToken, endpointOf, renewalsOver } from './logins.js';
import { EXIT, Problem } from './problem.js';
import { bars, jsonLines, lines, type Row, type Show } from './show.js';

export const UPLOAD_HELP = `npx sluice upload FILE… [--channel HANDLE] [--title TEXT] [--visibility WHO] [--parallel N] [--json]

Uploads videos, each with what the link gives. A cut, a network that is gone for hours or a server that starts anew needs
nothing from you: it waits and goes on. Ctrl-C pauses; run again with the same files, it goes on where it was. What is
uploaded completely is uploaded anew when it is given again.

  FILE                 a video; or a folder, of which every video is taken, in folders below too (but for hidden ones and
                       node_modules)
  --channel HANDLE     where the videos go; may be left out by who has one channel
  --title TEXT         the title, for one file; without it, the file's name
  --description TEXT   likewise the description
  --visibility WHO     private (the default), unlisted or public
  --parallel N         how many files at once, 1 to 8; 1 by default, which is best on most links
  --endpoint URL       the server; without it, where you were signed in last
  --json               on standard output one JSON object a line: {"event": "begun" | "progress" | "done" | "failed" | "paused" |
                       "summary", …}
  --help               this

Standard output, where it goes elsewhere than to a terminal, has the address of each video that is done, one a line;
standard error has the bars.

Exit codes: 0 all are uploaded; 1 some failed; 2 not understood, nothing was begun; 3 not signed in; 130 paused by Ctrl-C;
141 who read the output has gone.

Examples:
  npx sluice upload holiday.mp4 --channel ada --title "Two weeks by the sea"
  npx sluice upload ~/Videos --channel ada --visibility unlisted
  npx sluice upload a.mov b.mov --json | jq -r 'select(.event == "done").watchUrl'
`;

interface Job {
  endpoint: string;
  channelId: string;
  /** Undefined: as an unfinished upload of it has it, else private. */
  visibility: 'PRIVATE' | 'UNLISTED' | 'PUBLIC' | undefined;
  title: string | undefined;
  description: string | undefined;
  json: boolean;
}

export async function upload(args: string[]): Promise<number> {
  const { values, positionals } = parse(args, {
    channel: { type: 'string' },
    title: { type: 'string' },
    description: { type: 'string' },
    visibility: { type: 'string' },
    parallel: { type: 'string', default: '1' },
    endpoint: { type: 'string' },
    json: { type: 'boolean', default: false },
  });
  const visibility = values.visibility?.toUpperCase();
  if (visibility !== undefined && visibility !== 'PRIVATE' && visibility !== 'UNLISTED' && visibility !== 'PUBLIC') {
    throw new Problem('--visibility is private, unlisted or public.', EXIT.usage);
  }
  if (!/^[1-8]$/.test(values.parallel)) throw new Problem('--parallel is a number from 1 to 8.', EXIT.usage);
  if (positionals.length === 0) throw new Problem('Name at least one file or folder. See --help.', EXIT.usage);
  const { files, leftOut } = await videosOf(positionals);
  if (files.length > 1 && (values.title !== undefined || values.description !== undefined)) {
    throw new Problem(`--title and --description are for one file; these are ${files.length}.`, EXIT.usage);
  }
  const endpoint = await endpointOf(values.endpoint);
  const { title, description, json } = values;
  const channelId = await channelOf(endpoint, values.channel);
  const show = json ? jsonLines(process.stdout) : process.stderr.isTTY ? bars(process.stderr) : lines(process.stderr);
  try {
    return await all(
      files,
      leftOut,
      Number(values.parallel),
      { endpoint, channelId, visibility, title, description, json },
      show,
    );
  } finally {
    show.close();
  }
}

async function channelOf(endpoint: string, handle: string | undefined): Promise<string> {
  const { channel, viewer } = await ask<{
    channel?: { id: string } | null;
    viewer: { channels: { nodes: { id: string; handle: string }[] } };
  }>(
    endpoint,
    `query ($handle: String, $named: Boolean!) {
       channel(handle: $handle) @include(if: $named) { id } viewer { channels(first: 50) { nodes { id handle } } } }`,
    { handle: handle?.replace(/^@/, ''), named: handle !== undefined },
    await accessToken(endpoint),
  );
  const own = viewer.channels.nodes;
  const yours = own.length > 0 ? `Yours: ${own.map((one) => `@${one.handle}`).join(', ')}.` : 'You have none yet.';
  if (handle !== undefined && !channel) throw new Problem(`There is no channel ${handle}. ${yours}`, EXIT.usage);
  const id = channel?.id ?? (own.length === 1 ? own[0]?.id : undefined);
  if (id === undefined) throw new Problem(`Say where the videos go with --channel HANDLE. ${yours}`, EXIT.usage);
  return id;
}

type Running = ReturnType<typeof createUpload>;

async function all(files: VideoFile[], leftOut: LeftOut[], atOnce: number, job: Job, show: Show): Promise<number> {
  for (const { path, code, reason } of leftOut) {
    show.say(`${path}: left out, ${code}: ${reason}.`, { event: 'failed', file: path, code, message: reason });
  }
  const waiting = [...files];
  const running = new Set<Running>();
  const outcomes: number[] = [];
  const worker = async () => {
    for (let file = waiting.shift(); file; file = waiting.shift()) outcomes.push(await one(file, job, show, running));
  };
  const interrupted = new Promise<'SIGINT' | 'SIGTERM'>((resolve) => {
    // The second one ends it at once, as if nobody had listened.
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.removeAllListeners(signal);
      process.once(signal, () => resolve(signal));
    }
  });
  const ended = await Promise.race([interrupted, Promise.all(Array.from({ length: atOnce }, worker))]);
  if (typeof ended === 'string') {
    waiting.length = 0;
    for (const upload of running) upload.pause();
    // What is on the way arrives and counts, or is cut and counts too.
    await Promise.all([pause(200), renewalsOver()]);
    show.say(
      'Paused. Run the same command again to go on where it stands; `npx sluice status` lists what is unfinished.',
      {
        event: 'paused',
      },
    );
    return EXIT.interrupted;
  }
  const done = outcomes.filter((outcome) => outcome === EXIT.done).length;
  const total = files.length + leftOut.length;
  const failed = total - done;
  if (total > 1 || failed > 0) {
    show.say(`${done} of ${total} uploaded${failed > 0 ? `; run it again for the other ${failed}` : ''}.`, {
      event: 'summary',
      done,
      failed,
    });
  } else {
    show.say('', { event: 'summary', done, failed });
  }
  return outcomes.includes(EXIT.signedOut) ? EXIT.signedOut : failed > 0 ? EXIT.failed : EXIT.done;
}

/** @returns its part of the exit code */
async function one(file: VideoFile, job: Job, show: Show, running: Set<Running>): Promise<number> {
  const { endpoint, channelId, visibility, title, description } = job;
  const row: Row = { file, state: 'preparing', committedBytes: 0, bytesPerSecond: null, secondsLeft: null };
  const begun = performance.now();
  const upload = createUpload(file.path, {
    endpoint,
    token: tokenSource(endpoint),
    channelId,
    ...(visibility === undefined ? {} : { visibility }),
    ...(title === undefined ? {} : { title }),
    ...(description === undefined ? {} : { description }),
  });
  running.add(upload);
  show.begin(row);
  upload.on('progress', ({ committedBytes, bytesPerSecond, secondsLeft }) => {
    Object.assign(row, { committedBytes, bytesPerSecond, secondsLeft });
    show.changed(row);
  });
  upload.on('state', (state) => {
    row.state = state;
    show.changed(row);
  });
  try {
    const { sessionId, videoId } = await upload.start();
    const watchUrl = `${endpoint}/watch/${encodeURIComponent(videoId)}`;
    const seconds = (performance.now() - begun) / 1000;
    const facts = { event: 'done', sessionId, videoId, watchUrl, seconds: Math.round(seconds * 10) / 10 };
    if (!job.json && !process.stdout.isTTY) process.stdout.write(`${watchUrl}\n`);
    show.end(row, `done, ${sizeText(file.sizeBytes)} in ${durationText(seconds)}: ${watchUrl}`, facts);
    return EXIT.done;
  } catch (error) {
    const { message, code = 'FAILED' } = error as Error & { code?: string };
    show.end(row, `failed, ${code}: ${message}`, { event: 'failed', code, message });
    return code === 'UNAUTHENTICATED' ? EXIT.signedOut : EXIT.failed;
  } finally {
    running.delete(upload);
  }
}

/** The token of every file. While the server is away the upload is, too: it waits, and asks again. */
function tokenSource(endpoint: string): (ask: { expired: boolean }) => Promise<string> {
  let last: string | null = null;
  return async ({ expired }) => {
    try {
      last = await accessToken(endpoint, expired ? last : null);
      return last;
    } catch (error) {
      if (error instanceof Problem && error.exitCode === EXIT.signedOut)
        throw new UploadError('UNAUTHENTICATED', error.message);
      throw error;
    }
  };
}
