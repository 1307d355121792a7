import { Injectable, Module } from '@nestjs/common';
import { Database } from '../../src/common/database/index.js';
import { OnEvent } from '../../src/common/events/index.js';
import { ChannelChanged } from '../../src/modules/channels/index.js';
import { VideoChanged, VideosService } from '../../src/modules/videos/index.js';
import { channelOf, globalId, type Person, person, startApp, type TestApp, until, videoIn } from '../support/index.js';

/** What was told, of each event. */
const told = { videos: [] as string[], channels: [] as string[] };

@Injectable()
class Listener {
  @OnEvent(VideoChanged)
  async video({ videoId }: { videoId: string }): Promise<void> {
    told.videos.push(videoId);
  }

  @OnEvent(ChannelChanged)
  async channel({ channelId }: { channelId: string }): Promise<void> {
    told.channels.push(channelId);
  }
}

@Module({ providers: [Listener] })
class ListenerModule {}

let app: TestApp;
let ada: Person;
let channel: string;
beforeAll(async () => {
  app = await startApp({}, [ListenerModule]);
  ada = await person(app);
  channel = await channelOf(app, ada);
});
afterAll(() => app.stop());

const update = (videoId: string, change: object) =>
  ada.does('updateVideo', { videoId: globalId('Video', videoId), ...change }, 'video { title tags language }');
const toldTimes = (id: string, times: number) =>
  until(
    async () => [...told.videos, ...told.channels].filter((other) => other === id).length,
    (count) => count === times,
  );

describe('tags and language', () => {
  it('are said where the upload begins, and another time', async () => {
    const input = {
      channelId: globalId('Channel', channel),
      fileName: 'film.mp4',
      sizeBytes: 1_000,
      idempotencyKey: 'with tags',
      tags: ['#Sea', 'Boats', 'sea'],
      language: 'de-ch',
    };
    const fields = 'session { id video { id tags language } }';
    const { session } = await ada.does('createUploadSession', input, fields);
    expect(session.video).toMatchObject({ tags: ['Sea', 'Boats'], language: 'de-CH' });
    expect((await ada.does('createUploadSession', input, fields)).session.id).toBe(session.id);
    const other = await ada.does('createUploadSession', { ...input, tags: ['Sea'] }, fields);
    expect(other.userErrors).toMatchObject([{ code: 'IDEMPOTENCY_KEY_REUSED' }]);

    const videoId = Buffer.from(session.video.id, 'base64url').toString().slice('Video:'.length);
    expect((await update(videoId, { title: 'Else' })).video).toMatchObject({
      tags: ['Sea', 'Boats'],
      language: 'de-CH',
    });
    expect((await update(videoId, { tags: null })).video).toMatchObject({ tags: ['Sea', 'Boats'], language: 'de-CH' });
    expect((await update(videoId, { tags: ['Ships'], language: 'EN' })).video).toMatchObject({
      tags: ['Ships'],
      language: 'en',
    });
    expect((await update(videoId, { tags: [], language: null })).video).toMatchObject({ tags: [], language: null });
  });

  it.each([
    ['tags', { tags: ['x'.repeat(31)] }],
    ['tags', { tags: [''] }],
    ['tags', { tags: [...Array(21).keys()].map(String) }],
    ['language', { language: 'klingon' }],
  ])('%s: %j is refused, and nothing changed', async (field, change) => {
    const video = await videoIn(app, channel, ada);
    const { userErrors } = await update(video, { title: 'Changed', ...change });
    expect(userErrors).toEqual([{ code: 'INVALID_INPUT', field: [field] }]);
    expect(await app.database.query('SELECT title FROM video WHERE id = $1', [video])).toEqual([{ title: 'A film' }]);
  });
});

describe('VideoChanged', () => {
  it.each([
    { title: 'Other' },
    { description: 'Other' },
    { tags: ['Other'] },
    { language: 'fr' },
    { visibility: 'PRIVATE' },
    { publishAt: '2100-01-01T00:00:00Z' },
  ])('tells of %j', async (change) => {
    const video = await videoIn(app, channel, ada);
    await update(video, change);
    await toldTimes(video, 1);
  });

  it('tells of every step of processing, of a new run, and of the end', async () => {
    const video = await videoIn(app, channel, ada, { state: 'PROCESSING' });
    const videos = app.get(VideosService);
    const tx = <T>(work: Parameters<Database['tx']>[0]) => app.get(Database).tx(work) as Promise<T>;
    const step = { videoId: video, run: 1, to: 'PLAYABLE', stage: 'ENCODING' } as const;
    const found = { durationMs: 1_000, width: 64, height: 36, frameRate: 25 };
    await tx((inside) => videos.describe(inside, video, 1, found));
    await toldTimes(video, 1);
    await tx((inside) => videos.transition(inside, step));
    await toldTimes(video, 2);
    expect(await tx((inside) => videos.nextRun(inside, video, 1))).toBe(2);
    await toldTimes(video, 3);
    // Of a run that is over nothing is changed, and nothing told.
    expect(await tx((inside) => videos.transition(inside, step))).toBe(false);
    await tx((inside) => videos.markVerified(inside, video));
    await toldTimes(video, 4);
    await videos.delete({ userId: ada.userId, role: 'MEMBER' } as never, video);
    await toldTimes(video, 5);
    const [row] = await app.database.query('SELECT tags, language FROM video WHERE id = $1', [video]);
    expect(row).toEqual({ tags: [], language: null });
  });

  it('is not told of what was rolled back', async () => {
    const video = await videoIn(app, channel, ada);
    const videos = app.get(VideosService);
    const failed = app.get(Database).tx(async (tx) => {
      await videos.markVerified(tx, video);
      throw new Error('after all');
    });
    await expect(failed).rejects.toThrow('after all');
    const jobs = `SELECT FROM job WHERE name LIKE 'VideoChanged>%' AND payload->>'videoId' = $1`;
    expect(await app.database.query(jobs, [video])).toEqual([]);
  });
});

test('ChannelChanged tells of a new channel, and of another name', async () => {
  const made = await channelOf(app, ada);
  await toldTimes(made, 1);
  const jobs = () =>
    app.database.query(`SELECT id FROM job WHERE name LIKE 'ChannelChanged>%' AND payload->>'channelId' = $1`, [made]);
  const change = (input: object) =>
    ada.does('updateChannel', { channelId: globalId('Channel', made), ...input }, 'channel { name }');
  const before = await jobs();
  await change({ name: 'Ada films', description: 'What it is about' });
  expect(await jobs()).toEqual(before);
  await change({ name: 'Other' });
  await toldTimes(made, 2);
});
