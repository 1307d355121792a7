import { once } from 'node:events';
import { accessSync, constants, createReadStream } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { delimiter, join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { documentedExamples } from './documented-examples.js';

export const PLAYERS = ['hls.js', 'shaka', 'dash.js', 'video.js'] as const;
export type PlayerName = (typeof PLAYERS)[number];

const SCRIPTS: Record<PlayerName, string> = {
  'hls.js': 'hls.js/dist/hls.min.js',
  shaka: 'shaka-player/dist/shaka-player.compiled.js',
  'dash.js': 'dashjs/dist/modern/umd/dash.all.min.js',
  'video.js': 'video.js/dist/video.min.js',
};

/** What the page saw by itself. */
export interface Playback {
  errors: string[];
  ended: boolean;
  currentTime: number;
  duration: number;
  buffered: [number, number][];
  width: number;
  height: number;
  frames: number;
  corrupted: number;
  /** How often it ran dry after it had begun. */
  stalls: number;
}

export async function launchBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: inPath('chromium', 'chromium-browser', 'google-chrome'),
    args: [
      ...['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync'],
      ...[
        '--disable-background-networking',
        '--disable-component-update',
        '--autoplay-policy=no-user-gesture-required',
      ],
    ],
  });
}

function inPath(...names: string[]): string {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    for (const name of names) {
      try {
        accessSync(join(folder, name), constants.X_OK);
        return join(folder, name);
      } catch (error) {
        if (!['ENOENT', 'ENOTDIR', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
      }
    }
  }
  throw new Error(`None of ${names.join(', ')} is in PATH.`);
}

/** A page of another origin than Sluice's, as a frontend team would have it, with a player from node_modules. */
export async function servePages(): Promise<{ url: string; close(): void }> {
  const server = createServer((request, response) => {
    const player = PLAYERS.find((name) => request.url === `/${name}`);
    const script = PLAYERS.find((name) => request.url === `/${name}/script.js`);
    if (player) {
      response.setHeader('content-type', 'text/html').end(html(player));
    } else if (script) {
      response.setHeader('content-type', 'text/javascript');
      createReadStream(join('node_modules', SCRIPTS[script])).pipe(response);
    } else {
      response.writeHead(404).end();
    }
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close: () => server.close() };
}

/**
 * Opens the page and begins to play, with the rung of `height` alone. With none it chooses by itself, and takes the link for
 * too slow for any picture at first.
 */
export async function play(
  browser: Browser,
  pages: string,
  player: PlayerName,
  manifest: string,
  height: number | null,
  rate = 1,
): Promise<Page> {
  const page = await browser.newPage();
  await page.goto(`${pages}/${player}`);
  // Shaka's errors are numbers, and what belongs to them.
  const told = `({ message, code, data }) => { throw new Error(message + ' ' + (code ?? '') + ' ' + JSON.stringify(data ?? '')); }`;
  await page.evaluate(`begin(${JSON.stringify(manifest)}, ${height}, ${rate}).catch(${told})`);
  return page;
}

export const state = (page: Page): Promise<Playback> => page.evaluate<Playback>('state()');

export async function untilEnded(page: Page, timeoutMs: number): Promise<void> {
  await page.waitForFunction('video.ended', undefined, { timeout: timeoutMs });
}

/** Sets the position, and waits until it plays on from there. */
export async function seek(page: Page, to: number): Promise<void> {
  await page.evaluate(`seekTo(${to})`);
}

/** Has every further request go to another address of the same. */
export async function renew(page: Page, manifest: string): Promise<void> {
  await page.evaluate(`renew(${JSON.stringify(manifest)})`);
}

/** Plays another rung from now on, and waits until its picture is there. */
export async function changeRung(page: Page, height: number): Promise<void> {
  await page.evaluate(`change(${height})`);
  await page.waitForFunction(`video.videoHeight === ${height}`, undefined, { timeout: 20_000 });
}

/** Each player begins as docs/playback.md says. What follows there, tests alone need. */
const EXAMPLES = documentedExamples('playback.md');
const HOOKS: Record<PlayerName, string> = {
  'hls.js': `
    player.on(Hls.Events.ERROR, (_, { type, details, fatal }) => playback.errors.push([type, details, fatal].join(' ')));
    const level = (height) => player.levels.findIndex((level) => level.height === height);
    // Not nextLevel: that changes nothing where all was loaded before it had measured a fast link.
    change = (height) => { player.currentLevel = level(height); };
    if (!height) player.bandwidthEstimate = SLOW;
    else player.on(Hls.Events.MANIFEST_PARSED, () => {
      player.loadLevel = player.nextLevel = player.startLevel = level(height);
    });`,
  shaka: `
    player.addEventListener('error', ({ detail }) => playback.errors.push('shaka ' + detail.code));
    change = (height) => {
      player.configure({ abr: { enabled: false } });
      player.selectVariantTrack(player.getVariantTracks().find((track) => track.height === height), true, 2);
    };
    if (height) change(height);`,
  'dash.js': `
    player.on(dashjs.MediaPlayer.events.ERROR, ({ error }) => playback.errors.push('dash ' + (error.code ?? error) + ' ' + error.message));
    change = (height) => {
      player.updateSettings({ streaming: { abr: { autoSwitchBitrate: { video: false } } } });
      player.setRepresentationForTypeById('video', player.getRepresentationsByType('video').find((rung) => rung.height === height).id, true);
    };
    player.on(dashjs.MediaPlayer.events.STREAM_INITIALIZED, () => height && change(height));`,
  'video.js': `
    player.on('error', () => playback.errors.push('video.js ' + player.error()?.code + ' ' + player.error()?.message));
    const rungs = () => player.tech(true)?.vhs?.representations?.() ?? [];
    change = (height) => rungs().forEach((rung) => rung.enabled(rung.height === height));
    // Where all is loaded it may change its rung without playing it: who plays slowly at first, to see a change, loads little ahead.
    if (rate < 1) videojs.Vhs.GOAL_BUFFER_LENGTH = videojs.Vhs.MAX_GOAL_BUFFER_LENGTH = 3;
    while (rungs().length === 0) await new Promise(requestAnimationFrame);
    if (height) change(height);
    else player.tech(true).vhs.bandwidth = SLOW;`,
};

function html(player: PlayerName): string {
  return `<!doctype html><title>${player}</title><video id="video" muted width="640" height="360"></video>
<script src="/${player}/script.js"></script>
<script>
const video = document.getElementById('video');
const playback = { errors: [], stalls: 0 };
const SLOW = 50_000;
let begun = false;
let change, renew;
video.addEventListener('playing', () => { begun = true; });
video.addEventListener('waiting', () => { if (begun && !video.seeking && !video.ended) playback.stalls++; });
addEventListener('error', ({ message }) => playback.errors.push(message));
video.addEventListener('error', () => playback.errors.push('video ' + video.error.code + ' ' + video.error.message));
const begin = async (url, height, rate) => {
  video.defaultPlaybackRate = video.playbackRate = rate;
  ${EXAMPLES.get('renewed')}
  renew = (to) => { newestUrl = to; };
  ${EXAMPLES.get(player)}
  ${HOOKS[player]}
  video.playbackRate = rate;
  await video.play();
};
const state = () => {
  const { totalVideoFrames, corruptedVideoFrames } = video.getVideoPlaybackQuality();
  const { buffered, currentTime, duration, ended, videoWidth, videoHeight } = video;
  return {
    ...playback, ended, currentTime, duration, width: videoWidth, height: videoHeight,
    buffered: Array.from({ length: buffered.length }, (_, i) => [buffered.start(i), buffered.end(i)]),
    frames: totalVideoFrames, corrupted: corruptedVideoFrames,
  };
};
const seekTo = async (time) => {
  const seeked = new Promise((resolve) => video.addEventListener('seeked', resolve, { once: true }));
  video.currentTime = time;
  await seeked;
  await video.play();
  const from = video.currentTime;
  while (video.currentTime < from + 0.25 && !video.ended) await new Promise(requestAnimationFrame);
};
</script>`;
}
