import { Database } from '../../src/common/database/index.js';
import { Live } from '../../src/common/live/index.js';
import { registry } from '../../src/common/metrics/metric.js';
import { VideosService } from '../../src/modules/videos/index.js';
import { until } from '../support/client.js';
import { channelOf, globalId, type Person, person, startApp, type TestApp, videoIn } from '../support/index.js';

const CROWD = 300;
/** How old an answer may be where a process did not hear of a change. */
const BOUND_MS = 2_000;

/** Two replicas. */
let app: TestApp;
let other: TestApp;
let ada: Person;

beforeAll(async () => {
  app = await startApp({ role: 'api', rateLimitFactor: 0 });
  const { databaseUrl, redisPrefix, playbackSecret, tokenSecret, publicUrl } = app.config;
  const alike = { databaseUrl, redisPrefix, playbackSecret, tokenSecret, publicUrl };
  other = await startApp({ role: 'api', rateLimitFactor: 0, ...alike });
  ada = await person(app);
  // Until each hears the other.
  for (const [from, to] of [
    [app, other],
    [other, app],
  ] as const) {
    let heard = false;
    to.get(Live).listen('hello', () => {
      heard = true;
    });
    await until(
      async () => {
        from.get(Live).tick('hello');
        return heard;
      },
      (is) => is,
      20,
    );
  }
});
afterAll(async () => {
  await other.stop();
  await app.stop();
});

/** Public, with one rung that plays. */
async function film(channelId: string): Promise<string> {
  const videoId = await videoIn(app, channelId, ada);
  const key = `media/${videoId}`;
  const db = app.get(Database);
  await db.query(`INSERT INTO stored_object (key, size_bytes, state) VALUES ($1, 1, 'KEPT')`, [key]);
  await db.query(
    `INSERT INTO rendition (video_id, run, name, kind, position, width, height, frame_rate_num, frame_rate_den, timescale,
                            max_bits_per_second, segment_count, segment_duration, total_duration, codecs, init)
     VALUES ($1, 1, '240p', 'VIDEO', 0, 426, 240, 30, 1, 15360, 400000, 1, 61440, 61440, 'avc1.64001f', '\\x00')`,
    [videoId],
  );
  await db.query(
    `INSERT INTO segment (video_id, run, rendition, number, object_key, byte_offset, byte_size, duration)
     VALUES ($1, 1, '240p', 1, $2, 0, 1, 61440)`,
    [videoId, key],
  );
  return videoId;
}

const WATCH = `query ($id: ID!) { video(id: $id) { title likeCount channel { name subscriberCount } playback { hlsUrl } } }`;
const PAGE = `query ($id: ID!) { channel(id: $id) { name videoCount videos { totalCount nodes { id title } } } }`;

const watch = async (of: TestApp, videoId: string) =>
  // biome-ignore lint/suspicious/noExplicitAny: whatever was asked for
  (await of.graphql<any>(WATCH, { id: globalId('Video', videoId) })).data.video;
const page = async (of: TestApp, channelId: string) =>
  // biome-ignore lint/suspicious/noExplicitAny: whatever was asked for
  (await of.graphql<any>(PAGE, { id: globalId('Channel', channelId) })).data.channel;
const manifest = async (of: TestApp, address: string) =>
  (await fetch(new URL(new URL(address).pathname, of.url))).status;

it('reads once for a crowd what one page shows', async () => {
  const channelId = await channelOf(app, ada);
  const videoId = await film(channelId);
  const refills = async () => {
    const { values } = await (
      registry.getSingleMetric('sluice_cache_refills_total') as NonNullable<ReturnType<typeof registry.getSingleMetric>>
    ).get();
    return Object.fromEntries(values.map(({ labels, value }) => [labels.cache, value]));
  };
  const before = await refills();
  const began = performance.now();
  const answers = await Promise.all(Array.from({ length: CROWD }, () => watch(app, videoId)));
  expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
  const after = await refills();
  const asked = Object.fromEntries(
    ['videos', 'channels', 'likes', 'subscribers', 'watchable'].map((name) => [
      name,
      (after[name] as number) - (before[name] as number),
    ]),
  );
  // More where the crowd takes longer than a value lives: a second at least.
  const most = 2 + (performance.now() - began) / 1_000;
  for (const [name, count] of Object.entries(asked)) {
    expect({ name, few: count >= 1 && count <= most, count }).toEqual({ name, few: true, count });
  }
});

it.each(['PRIVATE', 'deleted'])('shows no %s video: at once here, within the bound elsewhere', async (how) => {
  const channelId = await channelOf(app, ada);
  const videoId = await film(channelId);
  const { hlsUrl } = (await watch(app, videoId)).playback;
  for (const at of [app, other]) {
    expect(await watch(at, videoId)).not.toBeNull();
    expect((await page(at, channelId)).videos).toMatchObject({ totalCount: 1, nodes: [{ title: 'A film' }] });
    expect(await manifest(at, hlsUrl)).toBe(200);
  }
  const input = { videoId: globalId('Video', videoId) };
  if (how === 'deleted') await ada.does('deleteVideo', input);
  else await ada.does('updateVideo', { ...input, visibility: how });
  const hidden = performance.now();
  const look = async (of: TestApp) => ({
    watched: await watch(of, videoId),
    page: await page(of, channelId),
    manifest: await manifest(of, hlsUrl),
  });
  const nothing = { name: 'Ada films', videoCount: 0, videos: { totalCount: 0, nodes: [] } };
  expect(await look(app)).toEqual({ watched: null, page: nothing, manifest: 404 });
  const gone = (seen: Awaited<ReturnType<typeof look>>) =>
    !seen.watched && seen.page.videoCount === 0 && seen.page.videos.nodes.length === 0 && seen.manifest === 404;
  await until(() => look(other), gone, 10);
  expect(performance.now() - hidden).toBeLessThan(BOUND_MS + 1_000);
});

it('never cuts a page short: it could have no place to go on from', async () => {
  const channelId = await channelOf(app, ada);
  const [older, newer] = [await film(channelId), await film(channelId)];
  const first = async () => {
    const query = 'query ($id: ID!) { channel(id: $id) { videos(first: 1) { nodes { id } pageInfo { endCursor } } } }';
    const { data } = await app.graphql<{
      channel: { videos: { nodes: { id: string }[]; pageInfo: { endCursor: string | null } } };
    }>(query, { id: globalId('Channel', channelId) });
    return data.channel.videos;
  };
  expect((await first()).nodes).toEqual([{ id: globalId('Video', newer) }]);
  await app.get(Database).query(`UPDATE video SET visibility = 'PRIVATE' WHERE id = $1`, [newer]);
  // The row is read anew, and the places of the page are not.
  app.get(Live).tick(`video:${newer}`);
  expect(await first()).toEqual({
    nodes: [{ id: globalId('Video', older) }],
    pageInfo: { endCursor: expect.any(String) },
  });
});

it('shows whoever changes a video and its channel what they changed, whichever process they ask', async () => {
  const channelId = await channelOf(app, ada);
  const videoId = await film(channelId);
  const ids = { id: globalId('Video', videoId), channel: globalId('Channel', channelId) };
  for (let k = 1; k <= 10; k++) {
    const [here, there] = k % 2 ? [app, other] : [other, app];
    // Somebody else has it kept there.
    await watch(there, videoId);
    await page(there, channelId);
    const change = `mutation ($video: UpdateVideoInput!, $channel: UpdateChannelInput!) {
      updateVideo(input: $video) { userErrors { code } } updateChannel(input: $channel) { userErrors { code } }
      reactToVideo(input: { videoId: "${ids.id}", like: ${k % 2 === 1} }) { userErrors { code } } }`;
    const video = { videoId: ids.id, title: `take ${k}` };
    const channel = { channelId: ids.channel, name: `name ${k}` };
    expect((await here.graphql(change, { video, channel }, ada.token)).errors).toBeUndefined();
    // biome-ignore lint/suspicious/noExplicitAny: whatever was asked for
    const { data } = await there.graphql<any>(WATCH, { id: ids.id }, ada.token);
    expect(data.video).toMatchObject({ title: video.title, likeCount: k % 2, channel: { name: channel.name } });
    // biome-ignore lint/suspicious/noExplicitAny: whatever was asked for
    const { data: list } = await there.graphql<any>(PAGE, { id: ids.channel }, ada.token);
    expect(list.channel).toMatchObject({ name: channel.name, videos: { nodes: [{ title: video.title }] } });
  }
});

it('shows others a video that comes back into the list, and another one', async () => {
  const channelId = await channelOf(app, ada);
  const videoId = await film(channelId);
  const videos = app.get(VideosService);
  const actor = { userId: ada.userId, sessionId: '', role: 'MEMBER' } as never;
  for (const visibility of ['PRIVATE', 'PUBLIC', 'UNLISTED', 'PUBLIC'] as const) {
    await page(app, channelId);
    await page(other, channelId);
    await videos.update(actor, videoId, { visibility });
    const isListed = visibility === 'PUBLIC' ? 1 : 0;
    expect((await page(app, channelId)).videos).toMatchObject({ totalCount: isListed });
    await until(
      () => page(other, channelId),
      ({ videos: { totalCount, nodes } }) => totalCount === isListed && nodes.length === isListed,
      10,
    );
  }
});
