import { Database } from '../../src/common/database/index.js';
import { CommentsService } from '../../src/modules/comments/index.js';
import { VideosService } from '../../src/modules/videos/index.js';
import { channelOf, globalId, type Person, person, startApp, type TestApp, videoIn } from '../support/index.js';

const LISTENERS = 200;

let app: TestApp;
let ada: Person;
let reads = 0;
beforeAll(async () => {
  app = await startApp({ rateLimitFactor: 0, role: 'api' });
  ada = await person(app);
  const videos = app.get(VideosService);
  const { byIds } = videos;
  videos.byIds = (...parameters) => {
    reads++;
    return byIds.apply(videos, parameters);
  };
});
afterAll(() => app.stop());

test('who listens to the comments of a video is asked for anew when it is hidden, and then all together', async () => {
  const channel = await channelOf(app, ada);
  const [watched, other] = [await videoIn(app, channel, ada), await videoIn(app, channel, ada)];
  const bob = await person(app);
  const comments = app.get(CommentsService);
  const actor = { userId: bob.userId, sessionId: '', role: 'MEMBER' } as const;
  const streams = await Promise.all(
    Array.from({ length: LISTENERS }, (_, n) => comments.news(n % 2 === 0 ? null : actor, watched, null)),
  );
  for (const stream of streams) await stream.next();
  const change = (video: string, input: object) =>
    ada.does('updateVideo', { videoId: globalId('Video', video), ...input });
  const heard = async () => {
    const next = streams.map((stream) => stream.next());
    await bob.does('addComment', { videoId: globalId('Video', watched), text: 'Well' });
    return Promise.all(next);
  };

  reads = 0;
  await change(other, { visibility: 'PRIVATE' });
  await change(watched, { title: 'Another title' });
  await change(watched, { visibility: 'PUBLIC' });
  await change(watched, { visibility: 'UNLISTED' });
  expect((await heard()).every(({ value }) => value?.id)).toBe(true);
  expect(reads).toBeLessThan(20);

  reads = 0;
  const over = Promise.allSettled(streams.map((stream) => stream.next()));
  await change(watched, { visibility: 'PRIVATE' });
  for (const one of await over) expect(one).toMatchObject({ reason: { code: 'NOT_FOUND' } });
  expect(reads).toBeLessThan(20);
});

test('who listens is not asked for in what is remembered, where nobody told this process that it is out of date', async () => {
  const { databaseUrl, tokenSecret } = app.config;
  // Its prefix is its own: what it tells others does not come here.
  const other = await startApp({ rateLimitFactor: 0, role: 'api', databaseUrl, tokenSecret });
  try {
    const video = await videoIn(app, await channelOf(app, ada), ada);
    const stream = await app.get(CommentsService).news(null, video, null);
    await stream.next();
    const over = expect(stream.next()).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await app.get(VideosService).visible(video, null);
    const owner = { userId: ada.userId, sessionId: '', role: 'MEMBER' } as const;
    await other.get(VideosService).update(owner, video, { visibility: 'PRIVATE' });
    await ada.does('addComment', { videoId: globalId('Video', video), text: 'Among ourselves' });
    await over;
  } finally {
    await other.stop();
  }
});

test('a video that is made anew is not to be listened to meanwhile', async () => {
  const channel = await channelOf(app, ada);
  const video = await videoIn(app, channel, ada);
  const stream = await app.get(CommentsService).news(null, video, null);
  await stream.next();
  const over = stream.next();
  const db = app.get(Database);
  const [row] = await db.query<{ run: number }>('SELECT run FROM video WHERE id = $1', [video]);
  await db.tx((tx) => app.get(VideosService).nextRun(tx, video, row?.run as number));
  await expect(over).rejects.toMatchObject({ code: 'NOT_FOUND' });
});
