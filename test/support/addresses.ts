import type { ApiClient } from './client.js';

const EVERYTHING = `query ($id: ID!) { video(id: $id) {
  playback { hlsUrl dashUrl plannedDashUrl mp4Url posterUrl } posterUrl storyboardUrl thumbnails { url } } }`;

/**
 * Every address of a video that its viewers are ever given: those that GraphQL answers, and all that manifests and the
 * storyboard lead to from there, as a player would find them.
 */
export async function addressesOf(viewer: ApiClient, videoId: string): Promise<string[]> {
  const { video } = await viewer.query(EVERYTHING, { id: videoId });
  const { playback, posterUrl, storyboardUrl, thumbnails } = video;
  const found = new Set<string>();
  const follow = async (url: string | null): Promise<void> => {
    if (!url || found.has(url)) return;
    found.add(url);
    const path = new URL(url).pathname;
    if (!/\.(m3u8|mpd|vtt)$/.test(path)) return;
    const answer = await fetch(url);
    if (!answer.ok) throw new Error(`${answer.status} for ${path.slice(path.lastIndexOf('/'))}`);
    const text = await answer.text();
    const next = path.endsWith('.mpd') ? ofManifest(text) : path.endsWith('.vtt') ? ofTrack(text) : ofPlaylist(text);
    for (const address of next) await follow(new URL(address, url).href);
  };
  const given = [...Object.values<string | null>(playback), posterUrl, storyboardUrl];
  for (const url of [...given, ...thumbnails.map((still: { url: string }) => still.url)]) await follow(url);
  return [...found];
}

/** HLS: every line that is no tag, and every URI in one. */
function ofPlaylist(text: string): string[] {
  const inTags = [...text.matchAll(/URI="([^"]+)"/g)].map(([, uri]) => uri as string);
  return [...inTags, ...text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))];
}

/** DASH: the templates of each representation, filled in. */
function ofManifest(text: string): string[] {
  return [...text.matchAll(/<Representation id="([^"]+)".*?<\/Representation>/gs)].flatMap(([whole, id = '']) => {
    const [, init = '', media = ''] = /initialization="([^"]+)" media="([^"]+)"/.exec(whole) ?? [];
    const count = [...whole.matchAll(/<S [^>]*?(?:r="(\d+)")?\/>/g)].reduce(
      (sum, [, r]) => sum + Number(r ?? 0) + 1,
      0,
    );
    const numbers = Array.from({ length: count }, (_, index) => index + 1);
    const filled = (template: string, number = 0) =>
      template.replace('$RepresentationID$', id).replace('$Number$', String(number));
    return [filled(init), ...numbers.map((number) => filled(media, number))];
  });
}

/** WebVTT: each cue's picture, without the place in it. */
function ofTrack(text: string): string[] {
  return text
    .split('\n')
    .filter((line) => line.includes('#xywh='))
    .map((line) => line.slice(0, line.indexOf('#')));
}

/** What each answers, in their order. */
export async function statusesOf(urls: readonly string[], headers: Record<string, string> = {}): Promise<number[]> {
  const statuses: number[] = [];
  const left = urls.entries();
  const ask = async () => {
    for (const [index, url] of left) {
      const answer = await fetch(url, { headers });
      await answer.arrayBuffer();
      statuses[index] = answer.status;
    }
  };
  await Promise.all(Array.from({ length: 8 }, ask));
  return statuses;
}
