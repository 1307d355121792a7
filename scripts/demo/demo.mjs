import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { basename, extname, join, resolve } from 'node:path';
import { ConfigurationError, readSettings } from '../../dist/common/config/index.js';
import { giveUp } from '../setup.mjs';
import { signIn } from './account.mjs';
import { Api, ApiError } from './api.mjs';
import { ensureClip } from './clip.mjs';
import { progress } from './progress.mjs';
import { ensureServer } from './server.mjs';
import { upload } from './upload.mjs';

const say = (line) => process.stderr.write(`${line}\n`);

/** From a file to a playing video, through the public API alone. */
export async function demo({ file, exit, json }) {
  // npm changes to the package's folder, and keeps where it was called.
  const given = file === null ? null : resolve(process.env.INIT_CWD ?? '.', file);
  if (given !== null && !existsSync(given)) giveUp(`There is no file ${given}.`);
  const settings = settingsOrGiveUp();
  const folder = join(settings.dataDir, 'demo');
  await mkdir(settings.dataDir, { recursive: true, mode: 0o711 });
  await mkdir(folder, { recursive: true, mode: 0o700 });

  const server = await ensureServer(settings).catch((error) => giveUp(error.message));
  let asked = false;
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.on(signal, async () => {
      if (asked) return;
      asked = true;
      process.exit(await server.stop());
    });
  }
  server.ended.then((code) => {
    if (!asked) giveUp(`The server ended by itself (exit code ${code}): see ${join(folder, 'server.log')}.`);
  });

  let exitCode = 0;
  try {
    const path = given ?? join(folder, 'clip.mp4');
    if (given === null) await ensureClip(settings.ffmpegPath, path);
    // A file of yours is for those who know its address; the clip is found as well.
    const visibility = given === null ? 'PUBLIC' : 'UNLISTED';
    const result = await makeVideo(server.url, path, visibility, join(folder, 'account.json'));
    say(`Watch it: ${result.watchUrl}`);
    if (visibility === 'PUBLIC') say(`Or find it: ${server.url}`);
    if (json) process.stdout.write(`${JSON.stringify(result)}\n`);
  } catch (error) {
    say(error instanceof ApiError ? error.message : error.stack);
    exitCode = 1;
  }
  if (exitCode === 0 && !exit && server.isOwn) return say('Ctrl-C ends it.');
  asked = true;
  process.exit((await server.stop()) || exitCode);
}

function settingsOrGiveUp() {
  try {
    return readSettings();
  } catch (error) {
    if (error instanceof ConfigurationError) giveUp(error.message);
    throw error;
  }
}

async function makeVideo(url, path, visibility, accountFile) {
  const api = new Api(url);
  const channelId = await signIn(api, accountFile);

  const uploading = progress('Upload');
  const { lastByteAt, ...uploaded } = await upload(api, {
    path,
    channelId,
    title: basename(path, extname(path)),
    visibility,
    onBytes: (bytes, size) => uploading.show(bytes / size),
  });
  uploading.end();

  const processing = progress('Processing');
  try {
    const { firstPlayableMs, readyMs, playback } = await untilReady(api, uploaded.videoId, lastByteAt, processing);
    const { videoId, sizeBytes, sha256, uploadMs } = uploaded;
    const watchUrl = `${url}/watch/${encodeURIComponent(videoId)}`;
    return { videoId, watchUrl, ...playback, sizeBytes, sha256, uploadMs, firstPlayableMs, readyMs };
  } finally {
    processing.end();
  }
}

const PROGRESS = `subscription ($id: ID!) {
  videoProgress(videoId: $id) {
    state
    failure { code message }
    uploadSession { failure { code message } }
    processing { stage progress }
    playback { hlsUrl dashUrl }
  }
}`;

/** Follows the video live. Milliseconds are counted from the last byte of the upload. */
async function untilReady(api, videoId, lastByteAt, bar) {
  const sinceLastByte = () => Math.round(performance.now() - lastByteAt);
  let firstPlayableMs = null;
  for (;;) {
    for await (const { videoProgress: video } of api.watch(PROGRESS, { id: videoId })) {
      const failure = video.failure ?? video.uploadSession?.failure;
      if (failure) throw new ApiError(failure.code, failure.message);
      if (video.playback) firstPlayableMs ??= sinceLastByte();
      if (video.processing) bar.show(video.processing.progress, video.processing.stage.toLowerCase());
      if (video.state === 'READY' && video.playback) {
        bar.show(1);
        const { hlsUrl, dashUrl } = video.playback;
        return { firstPlayableMs, readyMs: sinceLastByte(), playback: { hlsUrl, dashUrl } };
      }
    }
  }
}
