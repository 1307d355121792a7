import { randomInt } from 'node:crypto';
import {
  type Answer,
  channelOf,
  globalId,
  type Person,
  person,
  startApp,
  type TestApp,
  videoIn,
} from '../support/index.js';
import { brokenInvariants } from '../support/invariants.js';
import { randomFrom } from '../support/random.js';

const CLIENTS = 200;
const SECONDS = 12;
/** However slow the machine is. */
const LEAST_EACH = 8;
/** Printed, so that a run can be repeated as far as the clock lets it: SEED=1 npm test -- people-random. */
const SEED = Number(process.env.SEED ?? randomInt(2 ** 31));

let app: TestApp;
beforeAll(async () => {
  app = await startApp({ rateLimitFactor: 1_000 });
});
afterAll(() => app.stop());

it(`counts are those of the rows after ${CLIENTS} people did as they liked, all at once`, async () => {
  process.stderr.write(`people-random: SEED=${SEED}\n`);
  const people: Person[] = [];
  while (people.length < CLIENTS) {
    people.push(...(await Promise.all([...Array(20).keys()].map(() => person(app)))));
  }
  const [ada, eve] = people as [Person, Person];
  const channels = await Promise.all([...Array(3).keys()].map(() => channelOf(app, ada)));
  const videos = await Promise.all(channels.map((channel) => videoIn(app, channel, ada)));
  const comments: string[] = [];
  const [admin, channelThatGoes] = [await person(app, 'ADMIN'), await channelOf(app, ada)];
  const films = [await videoIn(app, channels[0] as string, ada), await videoIn(app, channelThatGoes, ada)];
  const lost = { channel: channelThatGoes, films };
  // Two who own what both may take from the other.
  for (const channel of channels) {
    const input = { channelId: globalId('Channel', channel), userId: eve.id, role: 'OWNER' };
    expect(await ada.does('addChannelMember', input)).toEqual({ userErrors: [] });
    expect(await eve.does('acceptChannelMembership', { channelId: input.channelId })).toEqual({ userErrors: [] });
  }

  const seen = new Map<string, number>();
  const note = (code: string) => seen.set(code, (seen.get(code) ?? 0) + 1);
  const until = Date.now() + SECONDS * 1000;

  async function live(by: Person, random: () => number): Promise<void> {
    const pick = <T>(list: readonly T[]) => list[Math.floor(random() * list.length)] as T;
    const own: string[] = [];
    const aChannel = () => globalId('Channel', pick([...channels, lost.channel]));
    const aVideo = () => globalId('Video', pick([...videos, ...lost.films]));
    const say = async (parentId: string | null) => {
      const input = { videoId: aVideo(), parentId, text: `Number ${own.length}` };
      const answer = await by.does('addComment', input, 'comment { id }');
      if (answer.comment) {
        own.push(answer.comment.id);
        // Few of them, that all want.
        comments[Math.floor(random() * 30)] = answer.comment.id;
      }
      return answer;
    };
    const some = () => pick(comments) ?? globalId('Comment', '00000000-0000-4000-8000-000000000000');
    const other = () => (by === ada ? eve : ada);
    const deeds: (() => Promise<Answer>)[] = [
      () => by.does('subscribeToChannel', { channelId: aChannel() }),
      () => by.does('subscribeToChannel', { channelId: aChannel(), notify: 'HIGHLIGHTS' }),
      () => by.does('unsubscribeFromChannel', { channelId: aChannel() }),
      () => by.does('reactToVideo', { videoId: aVideo(), like: random() < 0.6 }),
      () => say(null),
      () => say(some()),
      () => by.does('reactToComment', { commentId: some(), like: random() < 0.6 }),
      () => by.does('deleteComment', { commentId: own.length > 0 && random() < 0.7 ? pick(own) : some() }),
      () => by.does('editComment', { commentId: own.length > 0 ? pick(own) : some(), text: 'Other words' }),
      () => by.does('pinComment', { commentId: some(), pinned: random() < 0.7 }),
    ];
    const deedsOfOwners: (() => Promise<Answer>)[] = [
      () => by.does('removeChannelMember', { channelId: aChannel(), userId: other().id }),
      () => by.does('removeChannelMember', { channelId: aChannel(), userId: by.id }),
      () => by.does('addChannelMember', { ...memberOf(other()), role: pick(['OWNER', 'EDITOR', 'VIEWER']) }),
      () => by.does('addChannelMember', { ...memberOf(by), role: pick(['OWNER', 'EDITOR']) }),
      () => by.does('acceptChannelMembership', { channelId: aChannel() }),
    ];
    const memberOf = (who: Person) => ({ channelId: globalId('Channel', pick(channels)), userId: who.id });
    const all = by === ada || by === eve ? [...deeds, ...deedsOfOwners] : deeds;
    for (let deed = 0; deed < LEAST_EACH || Date.now() < until; deed++) {
      const { userErrors } = await pick(all)();
      note(userErrors[0]?.code ?? 'ok');
    }
  }
  /** Takes a video, and a channel with another one, from under those who are at it. */
  async function takeAway(): Promise<void> {
    const at = until - (SECONDS * 1000) / 2;
    while (Date.now() < at) await new Promise((resolve) => setTimeout(resolve, 100));
    const [film] = lost.films;
    const went = [
      await admin.does('deleteVideo', { videoId: globalId('Video', film as string) }),
      await admin.does('deleteChannel', { channelId: globalId('Channel', lost.channel) }),
    ];
    expect(went).toEqual([{ userErrors: [] }, { userErrors: [] }]);
  }
  // What is not a user error is thrown, and fails the test: a deadlock, or a statement that waited too long.
  await Promise.all([takeAway(), ...people.map((one, n) => live(one, randomFrom(SEED + n)))]);

  expect(await brokenInvariants(app.database)).toEqual({});
  const owned = `SELECT DISTINCT channel_id FROM channel_member WHERE role = 'OWNER' AND accepted_at IS NOT NULL`;
  expect(await app.database.query(owned)).toHaveLength(channels.length);
  expect([...seen.keys()].toSorted()).toEqual([...seen.keys()].filter((code) => EXPECTED.has(code)).toSorted());
  expect(seen.get('ok')).toBeGreaterThan(CLIENTS);
  const [{ deadlocks }] = (await app.database.query(
    'SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()',
  )) as [{ deadlocks: string }];
  process.stderr.write(`people-random: ${JSON.stringify(Object.fromEntries(seen))}, ${deadlocks} deadlocks\n`);
  expect(Number(deadlocks)).toBe(0);

  // Nothing is left of what went, once nobody can be about to add to it.
  const left = `SELECT id FROM comment WHERE video_id = ANY($1::uuid[])
    UNION ALL SELECT video_id FROM video_like WHERE video_id = ANY($1::uuid[])
    UNION ALL SELECT channel_id FROM channel_subscription WHERE channel_id = $2`;
  for (let rows = 1; rows > 0; ) {
    // The channel's video goes by an event of its own, whose jobs come later.
    const soon = `UPDATE job SET run_at = now() WHERE state = 'QUEUED' AND run_at > now() AND name ~ '>.*[.]delete'`;
    await app.database.query(soon);
    rows = (await app.database.query(left, [lost.films, lost.channel])).length;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }

  // The API says what the rows say.
  for (const [n, channel] of channels.entries()) {
    const { data } = await app.graphql<Answer>(
      'query ($channel: ID!, $video: ID!) { channel(id: $channel) { subscriberCount } video(id: $video) { likeCount commentCount } }',
      { channel: globalId('Channel', channel), video: globalId('Video', videos[n] as string) },
    );
    const [rows] = await app.database.query(
      `SELECT (SELECT count(*)::int FROM channel_subscription WHERE channel_id = $1) AS "subscriberCount",
              (SELECT count(*)::int FROM video_like WHERE video_id = $2) AS "likeCount",
              (SELECT count(*)::int FROM comment WHERE video_id = $2 AND deleted_at IS NULL) AS "commentCount"`,
      [channel, videos[n]],
    );
    expect({ ...data.channel, ...data.video }).toEqual(rows);
  }
}, 600_000);

/** What somebody may meet who acts on what others act on too. */
const EXPECTED = new Set([
  'ok',
  'NOT_FOUND',
  'NOT_YOUR_COMMENT',
  'NOT_AN_EDITOR',
  'NOT_AN_OWNER',
  'LAST_OWNER',
  'IS_A_REPLY',
]);
