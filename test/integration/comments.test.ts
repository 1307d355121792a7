import { randomUUID } from 'node:crypto';
import { channelOf, globalId, type Person, person, startApp, type TestApp, until, videoIn } from '../support/index.js';
import { brokenInvariants } from '../support/invariants.js';
import { type EventStream, openStream } from './edge/subscribers.js';

let app: TestApp;
let ada: Person;
let eve: Person;
let channel: string;
beforeAll(async () => {
  app = await startApp({ rateLimitFactor: 100 });
  [ada, eve] = await Promise.all([person(app), person(app, 'MEMBER', 'Eve')]);
  channel = await channelOf(app, ada);
});
afterAll(() => app.stop());
afterEach(async () => {
  expect(await brokenInvariants(app.database)).toEqual({});
});

const FIELDS =
  'id text parentId likeCount replyCount editedAt deletedAt pinned viewerHasLiked viewerCanEdit viewerCanDelete author { id displayName email } links { start length url }';
const video = (visibility?: string) => videoIn(app, channel, ada, { visibility });
const say = (by: Person, videoId: string, text: string, more: object = {}) =>
  by.does('addComment', { videoId: globalId('Video', videoId), text, ...more }, `comment { ${FIELDS} }`);
const said = async (by: Person, videoId: string, text: string, more: object = {}): Promise<string> =>
  (await say(by, videoId, text, more)).comment.id;
const remove = (by: Person, commentId: string) => by.does('deleteComment', { commentId }, 'deletedCommentId');
const edit = (by: Person, commentId: string, text: string) =>
  by.does('editComment', { commentId, text }, 'comment { text editedAt }');
const like = (by: Person, commentId: string, liked = true) =>
  by.does('reactToComment', { commentId, like: liked }, 'comment { likeCount viewerHasLiked }');
const pin = (by: Person, commentId: string, pinned = true) =>
  by.does('pinComment', { commentId, pinned }, 'comment { pinned }');
const refused = (code: string, field: string[] | null = null) => ({ userErrors: [{ code, field }] });

interface Seen {
  commentCount: number;
  pinnedComment: { text: string } | null;
  comments: {
    nodes: { id: string; text: string | null; replyCount: number; replies: { nodes: { text: string }[] } }[];
  };
}
async function see(videoId: string, by: Person | null = eve, orderBy = 'NEWEST'): Promise<Seen> {
  const answer = await app.graphql<{ video: Seen }>(
    `query ($id: ID!, $orderBy: CommentOrder) { video(id: $id) { commentCount pinnedComment { text }
       comments(orderBy: $orderBy) { nodes { id text replyCount replies { nodes { text } } } } } }`,
    { id: globalId('Video', videoId), orderBy },
    by?.token,
  );
  return answer.data.video;
}
const texts = (seen: Seen) => seen.comments.nodes.map(({ text }) => text);

describe('a comment', () => {
  it('is what its author wrote, with links that are safe, for everybody who sees the video', async () => {
    const film = await video();
    const text = ' One\r\ntwo <b>https://example.org</b>, javascript:alert(1) ';
    const { comment, userErrors } = await say(eve, film, text);
    expect(userErrors).toEqual([]);
    expect(comment).toMatchObject({
      text: 'One\ntwo <b>https://example.org</b>, javascript:alert(1)',
      links: [{ start: 11, length: 19, url: 'https://example.org/' }],
      ...{ parentId: null, likeCount: 0, replyCount: 0, editedAt: null, deletedAt: null, pinned: false },
      ...{ viewerCanEdit: true, viewerCanDelete: true, viewerHasLiked: false },
      author: { id: eve.id, displayName: 'Eve', email: expect.any(String) },
    });
    const node = `query ($id: ID!) { node(id: $id) { ... on Comment { ${FIELDS} } } }`;
    const [stranger, owner] = await Promise.all([
      app.graphql<{ node: object }>(node, { id: comment.id }),
      app.graphql<{ node: object }>(node, { id: comment.id }, ada.token),
    ]);
    const others = { ...comment, viewerCanEdit: false, author: { ...comment.author, email: null } };
    expect(stranger.data.node).toEqual({ ...others, viewerCanDelete: false });
    expect(owner.data.node).toEqual(others);
  });

  it.each([
    ['', 'INVALID_INPUT'],
    [' \n ', 'INVALID_INPUT'],
    ['\u200b', 'INVALID_INPUT'],
    ['x'.repeat(2_001), 'INVALID_INPUT'],
    ['\u202ereversed', 'INVALID_INPUT'],
    ['a\u0000', 'INVALID_INPUT'],
  ])('is never %j', async (text, code) => {
    const film = await video();
    expect(await say(eve, film, text)).toEqual({ comment: null, ...refused(code, ['text']) });
    const id = await said(eve, film, 'x'.repeat(2_000));
    expect(await edit(eve, id, text)).toEqual({ comment: null, ...refused(code, ['text']) });
    expect((await see(film)).commentCount).toBe(1);
  });

  it('comes once however often it is sent with one key, also at once', async () => {
    const film = await video();
    const parentId = await said(ada, film, 'Question');
    const idempotencyKey = randomUUID();
    const answers = await Promise.all(
      [...Array(12).keys()].map(() => say(eve, film, 'Answer', { parentId, idempotencyKey })),
    );
    expect(new Set(answers.map(({ comment }) => comment.id)).size).toBe(1);
    expect(await see(film)).toMatchObject({ commentCount: 2, comments: { nodes: [{ replyCount: 1 }] } });
    expect(await say(eve, film, 'Other', { idempotencyKey })).toMatchObject(
      refused('IDEMPOTENCY_KEY_REUSED', ['idempotencyKey']),
    );
    expect(await say(ada, film, 'Other', { idempotencyKey })).toMatchObject({ userErrors: [] });
  });

  it('is changed by its author, and deleted by author, owners and editors', async () => {
    const [film, editor, viewer, root] = await Promise.all([video(), person(app), person(app), person(app, 'ADMIN')]);
    for (const [member, role] of [
      [editor, 'EDITOR'],
      [viewer, 'VIEWER'],
    ] as const) {
      await app.database.query('INSERT INTO channel_member (channel_id, user_id, role) VALUES ($1, $2, $3)', [
        ...[channel, member.userId, role],
      ]);
    }
    const id = await said(eve, film, 'Frist');
    expect(await edit(eve, id, 'First')).toEqual({
      comment: { text: 'First', editedAt: expect.any(String) },
      userErrors: [],
    });
    for (const other of [ada, editor, viewer, root]) {
      expect(await edit(other, id, 'Mine')).toEqual({ comment: null, ...refused('NOT_YOUR_COMMENT') });
    }
    expect(await remove(viewer, id)).toEqual({ deletedCommentId: null, ...refused('NOT_YOUR_COMMENT') });
    expect(await see(film)).toMatchObject({ commentCount: 1 });
    for (const by of [eve, editor, ada, root]) {
      const one = await said(eve, film, 'Again');
      expect(await remove(by, one)).toEqual({ deletedCommentId: one, userErrors: [] });
      expect(await remove(by, one)).toEqual({ deletedCommentId: one, userErrors: [] });
    }
    expect(texts(await see(film))).toEqual(['First']);
    expect((await see(film)).commentCount).toBe(1);
  });

  it('leaves its place without a word where there are replies to it, until those are gone', async () => {
    const film = await video();
    const top = await said(eve, film, 'Secret');
    const reply = await said(ada, film, 'Reply', { parentId: top });
    expect(await say(eve, film, 'Third level', { parentId: reply })).toMatchObject(
      refused('IS_A_REPLY', ['commentId']),
    );
    expect(await remove(eve, top)).toMatchObject({ userErrors: [] });
    expect(await see(film)).toMatchObject({
      commentCount: 1,
      comments: { nodes: [{ text: null, replyCount: 1, replies: { nodes: [{ text: 'Reply' }] } }] },
    });
    const { node } = await ada.ask(`query ($id: ID!) { node(id: $id) { ... on Comment { ${FIELDS} } } }`, { id: top });
    expect(node).toMatchObject({ text: null, links: [], author: null, deletedAt: expect.any(String) });
    expect(
      await app.database.query('SELECT text FROM comment WHERE deleted_at IS NOT NULL AND text <> $1', ['']),
    ).toEqual([]);
    for (const answer of [
      await say(eve, film, 'Late', { parentId: top }),
      await edit(eve, top, 'Back'),
      await like(eve, top),
      await pin(ada, top),
    ]) {
      expect(answer).toMatchObject({ comment: null, userErrors: [{ code: 'NOT_FOUND' }] });
    }
    await remove(ada, reply);
    expect(await see(film)).toMatchObject({ commentCount: 0, comments: { nodes: [] } });
  });

  it('of another video is answered nowhere else', async () => {
    const [film, other] = await Promise.all([video(), video()]);
    const parentId = await said(eve, film, 'Here');
    expect(await say(eve, other, 'There', { parentId })).toMatchObject(refused('NOT_FOUND', ['parentId']));
  });
});

describe('likes', () => {
  it('of a comment and of a video count each person once', async () => {
    const film = await video();
    const id = await said(eve, film, 'Good');
    const many = await Promise.all([...Array(6).keys()].map(() => person(app)));
    await Promise.all([...many, ...many].map((one) => like(one, id)));
    const react = (by: Person, liked: boolean) =>
      by.does('reactToVideo', { videoId: globalId('Video', film), like: liked }, 'video { likeCount viewerHasLiked }');
    await Promise.all([...many, ...many].map((one) => react(one, true)));
    const [first, second] = many as [Person, Person];
    expect(await like(first, id, false)).toMatchObject({ comment: { likeCount: 5, viewerHasLiked: false } });
    expect(await like(first, id, false)).toMatchObject({ comment: { likeCount: 5, viewerHasLiked: false } });
    expect(await like(second, id)).toMatchObject({ comment: { likeCount: 5, viewerHasLiked: true } });
    expect(await react(first, false)).toEqual({ video: { likeCount: 5, viewerHasLiked: false }, userErrors: [] });
    expect(await react(second, true)).toEqual({ video: { likeCount: 5, viewerHasLiked: true }, userErrors: [] });
    const { data } = await app.graphql('query ($id: ID!) { video(id: $id) { likeCount viewerHasLiked } }', {
      id: globalId('Video', film),
    });
    expect(data).toEqual({ video: { likeCount: 5, viewerHasLiked: false } });
  });
});

describe('the pinned comment', () => {
  it('is one, chosen by owners and editors, and none once it is deleted', async () => {
    const film = await video();
    const [one, two] = [await said(eve, film, 'One'), await said(eve, film, 'Two')];
    const reply = await said(eve, film, 'Reply', { parentId: one });
    expect(await pin(eve, one)).toEqual({ comment: null, ...refused('NOT_AN_EDITOR') });
    expect(await pin(ada, reply)).toEqual({ comment: null, ...refused('IS_A_REPLY', ['commentId']) });
    await Promise.all([pin(ada, one), pin(ada, two)]);
    expect(['One', 'Two']).toContain((await see(film)).pinnedComment?.text);
    expect(await pin(ada, two)).toEqual({ comment: { pinned: true }, userErrors: [] });
    expect(await pin(ada, one, false)).toEqual({ comment: { pinned: false }, userErrors: [] });
    expect((await see(film)).pinnedComment).toEqual({ text: 'Two' });
    await remove(ada, two);
    expect((await see(film)).pinnedComment).toBeNull();
    await pin(ada, one);
    await pin(ada, one, false);
    expect((await see(film)).pinnedComment).toBeNull();
  });
});

describe('pages', () => {
  async function all(videoId: string, list: string, at: 'video' | 'comment' = 'video'): Promise<string[]> {
    const found: string[] = [];
    for (let after: string | null = null; ; ) {
      const order = list === 'replies' ? '' : `orderBy: ${list},`;
      const field = list === 'replies' ? 'replies' : 'comments';
      const { node } = await eve.ask(
        `query ($id: ID!, $after: Cursor) { node(id: $id) { ... on ${at === 'video' ? 'Video' : 'Comment'} {
           page: ${field}(${order} first: 2, after: $after) { nodes { text } pageInfo { hasNextPage endCursor } } } } }`,
        { id: at === 'video' ? globalId('Video', videoId) : videoId, after },
      );
      found.push(...node.page.nodes.map(({ text }: { text: string }) => text));
      if (!node.page.pageInfo.hasNextPage) return found;
      after = node.page.pageInfo.endCursor;
    }
  }

  it('give each comment once, in either order, also of one instant; replies oldest first', async () => {
    const film = await video();
    const ids: string[] = [];
    for (const text of ['a', 'b', 'c', 'd', 'e']) ids.push(await said(eve, film, text));
    for (const text of ['1', '2', '3']) await said(eve, film, text, { parentId: ids[0] });
    expect(await all(film, 'NEWEST')).toEqual(['e', 'd', 'c', 'b', 'a']);
    await Promise.all([like(eve, ids[1] as string), like(ada, ids[1] as string), like(ada, ids[3] as string)]);
    expect(await all(film, 'TOP')).toEqual(['b', 'd', 'e', 'c', 'a']);
    expect(await all(ids[0] as string, 'replies', 'comment')).toEqual(['1', '2', '3']);
    await app.database.query('UPDATE comment SET created_at = $2 WHERE video_id = $1 AND parent_id IS NULL', [
      film,
      '2026-01-01 10:00:00.123456+00',
    ]);
    expect((await all(film, 'NEWEST')).toSorted()).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect((await all(film, 'TOP')).toSorted()).toEqual(['a', 'b', 'c', 'd', 'e']);
  });
});

describe('what is under a video', () => {
  it('is there for whoever sees the video, and for nobody else', async () => {
    const [film, editor] = await Promise.all([video(), person(app)]);
    const id = await said(eve, film, 'Hello');
    await like(eve, id);
    await app.database.query(`INSERT INTO channel_member (channel_id, user_id, role) VALUES ($1, $2, 'EDITOR')`, [
      channel,
      editor.userId,
    ]);
    await ada.does('updateVideo', { videoId: globalId('Video', film), visibility: 'PRIVATE' });
    const nothing = { userErrors: [{ code: 'NOT_FOUND', field: ['commentId'] }] };
    for (const answer of [await edit(eve, id, 'x'), await remove(eve, id), await like(eve, id), await pin(eve, id)]) {
      expect(answer).toMatchObject(nothing);
    }
    expect(await say(eve, film, 'x')).toMatchObject(refused('NOT_FOUND', ['videoId']));
    expect(await say(eve, film, 'x', { parentId: id })).toMatchObject(refused('NOT_FOUND', ['videoId']));
    const react = { videoId: globalId('Video', film), like: true };
    expect(await eve.does('reactToVideo', react, 'video { id }')).toEqual({
      video: null,
      ...refused('NOT_FOUND', ['videoId']),
    });
    const node = await app.graphql('query ($id: ID!) { node(id: $id) { id } }', { id }, eve.token);
    expect(node.data).toEqual({ node: null });
    expect(texts(await see(film, editor))).toEqual(['Hello']);
    expect(await say(editor, film, 'Among us')).toMatchObject({ userErrors: [] });
  });

  it('goes with it, for good', async () => {
    const film = await video();
    const top = await said(eve, film, 'Top');
    await like(eve, await said(ada, film, 'Reply', { parentId: top }));
    await pin(ada, top);
    await ada.does('reactToVideo', { videoId: globalId('Video', film), like: true });
    // More than one step of each kind.
    const [, topId] = Buffer.from(top, 'base64url').toString().split(':');
    await app.database.query(
      `WITH c AS (INSERT INTO comment (video_id, parent_id, author_id, text)
                  SELECT $1, CASE WHEN n % 2 = 0 THEN $2::uuid END, $3, n::text FROM generate_series(1, 1300) n RETURNING id)
       INSERT INTO comment_like SELECT id, a FROM c, unnest(ARRAY[$3, $4]::uuid[]) a`,
      [film, topId, eve.userId, ada.userId],
    );
    await ada.does('deleteVideo', { videoId: globalId('Video', film) });
    const rows = (name: string) =>
      app.database.query(
        `SELECT id, run_at > now() + interval '1 minute' AS later FROM job WHERE name = $1 AND payload->>'videoId' = $2`,
        [name, film],
      );
    // Not before every transaction that saw the video is over.
    const jobs = await until(
      async () => [
        ...(await rows('VideoDeleted>CommentsService.deleteDiscussion')),
        ...(await rows('VideoDeleted>VideoLikes.deleteLikes')),
      ],
      (found) => found.length === 2,
    );
    expect(jobs.map(({ later }) => later)).toEqual([true, true]);
    await app.database.query('UPDATE job SET run_at = now() WHERE id = ANY($1::uuid[])', [jobs.map(({ id }) => id)]);
    const left = () =>
      app.database.query(
        `SELECT id::text FROM comment WHERE video_id = $1 UNION ALL SELECT video_id::text FROM video_discussion WHERE video_id = $1
         UNION ALL SELECT video_id::text FROM video_like WHERE video_id = $1 UNION ALL SELECT video_id::text FROM video_like_count WHERE video_id = $1`,
        [film],
      );
    await until(left, (found) => found.length === 0);
  });
});

describe('what happens to the comments of a video', () => {
  const LIVE = `subscription ($videoId: ID!, $after: Cursor) { videoComments(videoId: $videoId, after: $after) {
    cursor id kind commentId commentCount comment { text author { displayName } parent { replyCount } } } }`;
  const listen = (videoId: string, options: { token?: string; after?: string } = {}) =>
    openStream(app.url, LIVE, {
      token: options.token,
      variables: { videoId: globalId('Video', videoId), after: options.after },
    });
  const next = async (stream: EventStream) => (await stream.next())?.data;

  const told = async (stream: EventStream) => {
    const answer = await next(stream);
    expect(answer?.errors).toBeUndefined();
    return answer.data.videoComments;
  };

  it('is told as it happens, and again to who was away', async () => {
    const film = await video();
    const stream = await listen(film);
    const begin = await told(stream);
    expect(begin).toEqual({
      cursor: expect.any(String),
      id: null,
      kind: null,
      commentId: null,
      commentCount: 0,
      comment: null,
    });
    const top = await said(eve, film, 'Question');
    const first = await told(stream);
    expect(first).toMatchObject({
      ...{ kind: 'ADDED', commentId: top, commentCount: 1 },
      comment: { text: 'Question', author: { displayName: 'Eve' }, parent: null },
    });
    const reply = await said(ada, film, 'Answer', { parentId: top });
    expect(await told(stream)).toMatchObject({
      ...{ kind: 'ADDED', commentId: reply, commentCount: 2 },
      comment: { text: 'Answer', parent: { replyCount: 1 } },
    });
    stream.close();
    await edit(eve, top, 'Other words');
    await pin(ada, top);
    await pin(ada, top, false);
    await remove(ada, reply);
    const again = await listen(film, { after: first.cursor, token: eve.token });
    const kinds: string[] = [];
    while (kinds.length < 5) kinds.push((await told(again)).kind);
    expect(kinds).toEqual(['ADDED', 'EDITED', 'PINNED', 'UNPINNED', 'DELETED']);
    again.close();
  });

  it('is told to nobody who may not see the video, from the moment on in which that is so', async () => {
    const film = await video();
    const [stranger, member] = [await listen(film), await listen(film, { token: ada.token })];
    await Promise.all([next(stranger), next(member)]);
    await ada.does('updateVideo', { videoId: globalId('Video', film), visibility: 'PRIVATE' });
    await said(ada, film, 'Among us');
    expect((await next(stranger)).errors[0].extensions.code).toBe('NOT_FOUND');
    expect((await next(member)).data.videoComments).toMatchObject({ comment: { text: 'Among us' } });
    member.close();
    const refused = await listen(film, { token: eve.token });
    expect((await next(refused)).errors[0].extensions.code).toBe('NOT_FOUND');
  });

  it('is told no more to who is no member any more', async () => {
    const [film, viewer] = await Promise.all([video('PRIVATE'), person(app)]);
    const member = { channelId: globalId('Channel', channel), userId: viewer.id };
    expect(await ada.does('addChannelMember', { ...member, role: 'VIEWER' })).toEqual({ userErrors: [] });
    expect(await viewer.does('acceptChannelMembership', { channelId: member.channelId })).toEqual({ userErrors: [] });
    const stream = await listen(film, { token: viewer.token });
    await next(stream);
    expect(await ada.does('removeChannelMember', member)).toEqual({ userErrors: [] });
    await said(ada, film, 'Among us');
    expect((await next(stream)).errors[0].extensions.code).toBe('NOT_FOUND');
  });
});
