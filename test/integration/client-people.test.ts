import { WebSocket } from 'ws';
import {
  Api,
  ApiError,
  accepted,
  Channel,
  CommentList,
  type Follower,
  NotificationList,
  Notifications,
  type Operation,
  type StreamEvent,
  SubscribeToChannel,
  VideoComments,
} from '../../client/src/api/index.js';
import { CommentsService } from '../../src/modules/comments/index.js';
import {
  channelOf,
  globalId,
  HeldApi,
  type Link,
  type Person,
  person,
  startApp,
  startLink,
  type TestApp,
  until,
  videoIn,
} from '../support/index.js';

let app: TestApp;
let link: Link;
let ada: Person;
let eve: Person;
let channel: string;
const running: { stop(): void }[] = [];
beforeAll(async () => {
  // Browsers, and Node from 22 on, have it.
  Object.assign(globalThis, { WebSocket });
  app = await startApp();
  link = await startLink(app.url);
  [ada, eve] = await Promise.all([person(app, 'MEMBER', 'Ada'), person(app, 'MEMBER', 'Eve')]);
  channel = await channelOf(app, ada);
});
afterAll(async () => {
  for (const one of running) one.stop();
  link.stop();
  await app.stop();
});

const apiOf = (who: Person | null) => new Api({ endpoint: link.url, token: who?.token });
function started<List extends { start(): void; stop(): void }>(list: List): List {
  running.push(list);
  list.start();
  return list;
}
const seen = <View>(list: { read(): View }, done: (view: View) => boolean) => until(async () => list.read(), done, 20);

describe('Api', () => {
  it('asks with types, and throws what the server refuses', async () => {
    const api = apiOf(eve);
    const variables = { id: globalId('Channel', channel) };
    expect((await api.request(Channel, variables)).channel).toMatchObject({ name: 'Ada films', subscriberCount: 0 });
    const { subscribeToChannel } = await api.request(SubscribeToChannel, { input: { channelId: 'x' } });
    expect(() => accepted(subscribeToChannel)).toThrow(ApiError);
    await expect(apiOf(null).request(SubscribeToChannel, { input: { channelId: variables.id } })).rejects.toMatchObject(
      {
        code: 'UNAUTHENTICATED',
      },
    );
  });

  it('tells of a view, over a break and with a token that is good', async () => {
    const video = await videoIn(app, channel, ada);
    const views = async () => {
      const { data } = await app.graphql('query ($id: ID!) { video(id: $id) { viewCount } }', {
        id: globalId('Video', video),
      });
      return (data as { video: { viewCount: number } }).video.viewCount;
    };
    const asked: boolean[] = [];
    const token = async ({ expired }: { expired: boolean }) => {
      asked.push(expired);
      return expired ? eve.token : 'old';
    };
    link.stop();
    const tries = jest.spyOn(globalThis, 'fetch');
    const told = new Api({ endpoint: link.url, token }).recordView(globalId('Video', video));
    await until(
      async () => tries.mock.calls.length,
      (count) => count > 0,
    );
    await expect(tries.mock.results[0]?.value).rejects.toThrow();
    tries.mockRestore();
    const failedAt = performance.now();
    await link.start();
    await told;
    // Who is not to be reached is not asked again at once.
    expect(performance.now() - failedAt).toBeGreaterThan(400);
    expect(asked).toEqual([false, true]);
    await apiOf(eve).recordView(video);
    await apiOf(null).recordView(video);
    await until(views, (count) => count === 2);
    await expect(apiOf(eve).recordView('x')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(apiOf(eve).recordView('../tus')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    const refused = { code: 'UNAUTHENTICATED' };
    await expect(new Api({ endpoint: link.url, token: 'old' }).recordView(video)).rejects.toMatchObject(refused);
    const same = { endpoint: link.url, token: async () => 'old' };
    await expect(new Api(same).recordView(video)).rejects.toMatchObject(refused);
  });

  it('asks for a token once, and for another one when it is refused', async () => {
    const asked: boolean[] = [];
    const token = ({ expired }: { expired: boolean }) => {
      asked.push(expired);
      return expired ? eve.token : 'stale';
    };
    const api = new Api({ endpoint: link.url, token });
    // Also of many who ask at once.
    const ask = () => api.request(Channel, { id: globalId('Channel', channel) });
    await Promise.all([...Array(5).keys()].map(ask));
    await ask();
    expect(asked).toEqual([false, true]);
  });
});

describe('follow', () => {
  it('ends where the server does not understand it', async () => {
    const codes: string[] = [];
    const stop = apiOf(eve).follow(
      'subscription { nothing { cursor id } }' as Operation<Record<string, StreamEvent>, { after?: string }>,
      {},
      {
        onBegin: () => codes.push('begun'),
        onEvent: () => codes.push('told'),
        onEnd: ({ code }) => codes.push(code),
      },
    );
    await until(
      async () => codes.length,
      (count) => count > 0,
      20,
    );
    stop();
    expect(codes).toEqual(['GRAPHQL_VALIDATION_FAILED']);
  });
});

const heldApi = (who: Person) => new HeldApi({ endpoint: link.url, token: who.token });
const textsOf = (list: CommentList) => list.read().comments.map(({ text }) => text);

describe('CommentList', () => {
  it('keeps what happens while its first page is on its way', async () => {
    const videoId = globalId('Video', await videoIn(app, channel, ada));
    const { comment: gone } = await ada.does('addComment', { videoId, text: 'Taken back' }, 'comment { id }');
    const { comment: kept } = await ada.does('addComment', { videoId, text: 'Frist' }, 'comment { id }');
    const api = heldApi(eve);
    api.holds = VideoComments;
    const list = started(new CommentList(api, { videoId }));
    await api.isHeld();
    await ada.does('deleteComment', { commentId: gone.id });
    await ada.does('editComment', { commentId: kept.id, text: 'First' });
    await ada.does('addComment', { videoId, text: 'Second' });
    await seen(list, ({ commentCount }) => commentCount === 2);
    await list.add('Third');
    await seen(list, ({ commentCount }) => commentCount === 3);
    api.letGo();
    await seen(list, ({ state }) => state === 'live');
    expect(textsOf(list)).toEqual(['Third', 'Second', 'First']);
    expect(list.read()).toMatchObject({ commentCount: 3, hasMore: false, error: null });
    expect(list.read().comments[0]).toMatchObject({ viewerCanEdit: true });
  });

  it('begins anew whatever is asked for meanwhile', async () => {
    const videoId = globalId('Video', await videoIn(app, channel, ada));
    for (const text of ['a', 'b', 'c', 'd', 'e']) await ada.does('addComment', { videoId, text });
    const api = heldApi(eve);
    const list = started(new CommentList(api, { videoId, pageSize: 2 }));
    await seen(list, ({ state }) => state === 'live');
    list.stop();
    await ada.does('addComment', { videoId, text: 'f' });
    api.holds = VideoComments;
    list.start();
    await api.isHeld();
    const more = [list.loadMore(), list.loadMore()];
    api.letGo();
    await Promise.all(more);
    expect(textsOf(list)).toEqual(['f', 'e']);
    await Promise.all([list.loadMore(), list.loadMore()]);
    expect(textsOf(list)).toEqual(['f', 'e', 'd', 'c']);
    await list.loadMore();
    expect(textsOf(list)).toEqual(['f', 'e', 'd', 'c', 'b', 'a']);
  });

  it('shows all replies, however many', async () => {
    const film = await videoIn(app, channel, ada);
    const videoId = globalId('Video', film);
    const { comment } = await ada.does('addComment', { videoId, text: 'Question' }, 'comment { id }');
    const actor = { userId: eve.userId, sessionId: '', role: 'MEMBER' } as const;
    const [, parentId] = Buffer.from(comment.id, 'base64url').toString().split(':') as [string, string];
    for (let n = 0; n < 130; n++) {
      await app.get(CommentsService).add(actor, { videoId: film, parentId, text: `${n}`, idempotencyKey: null });
    }
    const list = started(new CommentList(apiOf(ada), { videoId, pageSize: 60 }));
    await seen(list, ({ state }) => state === 'live');
    for (const count of [60, 120, 130]) {
      await list.loadReplies(comment.id);
      expect(list.read().comments[0]?.replies).toHaveLength(count);
    }
    const [shown] = list.read().comments;
    expect(shown?.replies?.map(({ text }) => text)).toEqual([...Array(130).keys()].map(String));
    expect(shown?.hasMoreReplies).toBe(false);
  });

  it('shows what there is where no WebSocket gets through, after it failed at first', async () => {
    const videoId = globalId('Video', await videoIn(app, channel, ada));
    await ada.does('addComment', { videoId, text: 'Hello' });
    class NoSocket extends Api {
      failed = 0;
      override follow(): () => void {
        return () => undefined;
      }
      override async request<Data, Variables>(operation: Operation<Data, Variables>, variables: Variables) {
        if (this.failed++ === 0) throw new ApiError('INTERNAL', 'Not now.');
        return super.request(operation, variables);
      }
    }
    const list = started(new CommentList(new NoSocket({ endpoint: link.url }), { videoId }));
    await seen(list, ({ comments }) => comments.length === 1);
    expect(list.read()).toMatchObject({ state: 'waiting', error: null });
  });

  it('does not grow for as long as it is open, and lacks nothing of what it let go of', async () => {
    const film = await videoIn(app, channel, ada);
    const videoId = globalId('Video', film);
    // What is told comes from here: six hundred comments take a while to write.
    class Told extends Api {
      follower: Follower<StreamEvent> | null = null;
      override follow(_operation: unknown, _variables: unknown, follower: unknown): () => void {
        this.follower = follower as Follower<StreamEvent>;
        this.follower.onLive?.(true);
        this.follower.onBegin();
        return () => undefined;
      }
    }
    // There is a first page, and nothing behind it.
    await app.database.query(
      `INSERT INTO comment (video_id, author_id, text, created_at) VALUES ($1, $2, '0', now() - interval '2 hours')`,
      [film, ada.userId],
    );
    const api = new Told({ endpoint: link.url });
    const list = started(new CommentList(api, { videoId, pageSize: 50 }));
    await seen(list, ({ state }) => state === 'live');
    expect(list.read()).toMatchObject({ comments: [{ text: '0' }], hasMore: false });
    const rows = await app.database.query<{ id: string; text: string }>(
      `INSERT INTO comment (video_id, author_id, text, created_at)
       SELECT $1, $2, n::text, now() - interval '1 hour' + n * interval '1 s' FROM generate_series(1, 600) n RETURNING id, text`,
      [film, ada.userId],
    );
    await app.database.query('INSERT INTO video_discussion (video_id, comments) VALUES ($1, 601)', [film]);
    let told = 0;
    const forget = list.subscribe(() => {
      told++;
    });
    for (const { id, text } of rows) {
      const comment = {
        ...{ id: globalId('Comment', id), text, parentId: null, parent: null, links: [], author: null },
        ...{ likeCount: 0, replyCount: 0, createdAt: '', editedAt: null, deletedAt: null, pinned: false },
      };
      const event = { cursor: id, id, kind: 'ADDED', commentId: comment.id, commentCount: 601, comment };
      api.follower?.onEvent(event as StreamEvent);
    }
    forget();
    // Each event is shown once.
    expect(told).toBe(600);
    expect(list.read().comments.length).toBeLessThanOrEqual(500);
    expect(list.read().hasMore).toBe(true);
    while (list.read().hasMore) await list.loadMore();
    expect(textsOf(list)).toEqual([...Array(601).keys()].map((n) => String(600 - n)));
  });

  it('shows what others do, and what was done while it was cut off, once', async () => {
    const videoId = globalId('Video', await videoIn(app, channel, ada));
    const [mine, theirs] = [
      started(new CommentList(apiOf(eve), { videoId })),
      started(new CommentList(apiOf(ada), { videoId })),
    ];
    await Promise.all([mine, theirs].map((list) => seen(list, ({ state }) => state === 'live')));
    await mine.add('Question');
    const { comments } = await seen(theirs, ({ commentCount }) => commentCount === 1);
    const [question] = comments;
    expect(question).toMatchObject({ text: 'Question', author: { displayName: 'Eve' }, viewerCanDelete: true });
    expect(mine.read().comments).toMatchObject([{ text: 'Question', viewerCanEdit: true }]);

    const id = question?.id as string;
    // It had none: nobody has to ask for them.
    await theirs.add('Answer', id);
    await seen(mine, (view) => view.comments[0]?.replies?.length === 1);
    expect(mine.read()).toMatchObject({
      commentCount: 2,
      comments: [{ replyCount: 1, replies: [{ text: 'Answer' }] }],
    });

    // In a tunnel.
    link.stop();
    for (const text of ['One', 'Two', 'Three']) await ada.does('addComment', { videoId, text });
    await ada.does('pinComment', { commentId: id, pinned: true });
    await ada.does('editComment', { commentId: mine.read().comments[0]?.replies?.[0]?.id, text: 'Better answer' });
    await seen(mine, ({ state }) => state === 'waiting');
    await link.start();
    const after = await seen(
      mine,
      ({ commentCount, comments: [, , , last] }) => commentCount === 5 && last?.replies?.[0]?.text === 'Better answer',
    );
    expect(after.comments.map(({ text }) => text)).toEqual(['Three', 'Two', 'One', 'Question']);
    expect(after.pinned).toMatchObject({ id, text: 'Question' });

    await theirs.like(id);
    expect(theirs.read().comments.at(-1)).toMatchObject({ likeCount: 1, viewerHasLiked: true });
    await theirs.remove(id);
    await seen(mine, ({ pinned, comments: list }) => pinned === null && list.at(-1)?.text === null);
    await expect(mine.edit(id, 'Back')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('is live again after a break in which nothing happened', async () => {
    const list = started(new CommentList(apiOf(eve), { videoId: globalId('Video', await videoIn(app, channel, ada)) }));
    await seen(list, ({ state }) => state === 'live');
    link.cut();
    await seen(list, ({ state }) => state === 'waiting');
    // Sooner than the server says by itself where a quiet stream stands: after half a minute at least.
    await seen(list, ({ state }) => state === 'live');
  }, 20_000);

  it('ends where the video is not theirs to see any more', async () => {
    const videoId = globalId('Video', await videoIn(app, channel, ada));
    const list = started(new CommentList(apiOf(eve), { videoId }));
    await list.add('Hello');
    await seen(list, ({ state }) => state === 'live');
    await ada.does('updateVideo', { videoId, visibility: 'PRIVATE' });
    await seen(list, ({ state }) => state === 'ended');
    expect(list.read()).toMatchObject({ comments: [], error: { code: 'NOT_FOUND' } });
  });

  it('turns pages while others write', async () => {
    const videoId = globalId('Video', await videoIn(app, channel, ada));
    for (const text of ['a', 'b', 'c', 'd', 'e']) await ada.does('addComment', { videoId, text });
    const list = started(new CommentList(apiOf(eve), { videoId, pageSize: 2 }));
    await seen(list, ({ state }) => state === 'live');
    await ada.does('addComment', { videoId, text: 'f' });
    await seen(list, ({ comments }) => comments.length === 3);
    while (list.read().hasMore) await list.loadMore();
    expect(list.read().comments.map(({ text }) => text)).toEqual(['f', 'e', 'd', 'c', 'b', 'a']);
  });
});

describe('NotificationList', () => {
  it('keeps what comes while its first page is on its way', async () => {
    const [owner, fan] = await Promise.all([person(app), person(app)]);
    const channelId = globalId('Channel', await channelOf(app, owner));
    const api = heldApi(owner);
    api.holds = Notifications;
    const list = started(new NotificationList(api));
    await api.isHeld();
    await fan.does('subscribeToChannel', { channelId });
    await seen(list, ({ notifications }) => notifications.length === 1);
    api.letGo();
    await seen(list, ({ state }) => state === 'live');
    expect(list.read().notifications).toMatchObject([{ kind: 'NEW_FOLLOWER', isRead: false }]);
    await seen(list, ({ unreadCount }) => unreadCount === 1);
  });

  it('is in step on two devices, and lacks nothing of what came while one was cut off', async () => {
    const news: string[] = [];
    const [phone, desk] = [
      started(new NotificationList(apiOf(ada), 20, ({ kind }) => news.push(kind))),
      started(new NotificationList(new Api({ endpoint: app.url, token: ada.token }))),
    ];
    await Promise.all([phone, desk].map((list) => seen(list, ({ state }) => state === 'live')));
    const before = phone.read().unreadCount;
    const told = news.length;
    const fans = await Promise.all([...Array(3).keys()].map(() => person(app)));
    link.stop();
    for (const fan of fans) await fan.does('subscribeToChannel', { channelId: globalId('Channel', channel) });
    await seen(desk, ({ unreadCount }) => unreadCount === before + 3);
    await seen(phone, ({ state }) => state === 'waiting');
    await link.start();
    await seen(phone, ({ unreadCount }) => unreadCount === before + 3);
    expect(news.slice(told)).toEqual(['NEW_FOLLOWER', 'NEW_FOLLOWER', 'NEW_FOLLOWER']);
    await phone.markRead([phone.read().notifications[0]?.id as string]);
    await seen(
      desk,
      ({ unreadCount, notifications }) => unreadCount === before + 2 && notifications.some(({ isRead }) => isRead),
    );
    await desk.markRead();
    await seen(
      phone,
      ({ unreadCount, notifications }) => unreadCount === 0 && notifications.every(({ isRead }) => isRead),
    );
  });
});
