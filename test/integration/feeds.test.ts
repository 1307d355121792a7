import { randomInt } from 'node:crypto';
import { ChannelsService } from '../../src/modules/channels/index.js';
import { FeedsService, TrendingService } from '../../src/modules/feeds/index.js';
import { VideosService } from '../../src/modules/videos/index.js';
import {
  type Answer,
  channelOf,
  globalId,
  type Person,
  person,
  startApp,
  type TestApp,
  until,
  videoIn,
} from '../support/index.js';
import { randomFrom } from '../support/random.js';

/** Printed, so that a run can be repeated: SEED=1 npm test -- test/integration/feeds. */
const SEED = Number(process.env.SEED ?? randomInt(2 ** 31));
const WALKS = 16;
const LISTS = ['newest', 'trending'] as const;
type List = (typeof LISTS)[number];

let app: TestApp;
let ada: Person;
beforeAll(async () => {
  // No worker: what these tests make is all there is.
  app = await startApp({ role: 'api', rateLimitFactor: 1_000 });
  ada = await person(app);
});
afterAll(() => app.stop());
/** Each test has the lists to itself. */
beforeEach(async () => {
  await app.database.query(`UPDATE video SET deleted_at = now() WHERE deleted_at IS NULL`);
  await app.database.query('DELETE FROM video_popularity');
  await app.database.query('DELETE FROM trending_generation');
});

/** What is watched, as the views' part keeps it. */
const trend = (id: string, value: number) =>
  app.database.query(
    'INSERT INTO video_popularity (video_id, trend) VALUES ($1, $2) ON CONFLICT (video_id) DO UPDATE SET trend = excluded.trend',
    [id, value],
  );

/** Listed videos, the first of them newest and watched most. */
async function films(channel: string, count: number): Promise<string[]> {
  const ids: string[] = [];
  for (let n = 0; n < count; n++) {
    const id = await videoIn(app, channel, ada, { listedAt: new Date(Date.now() - n * 1000).toISOString() });
    await trend(id, 1000 - n);
    ids.push(id);
  }
  return ids;
}

const PAGE = (list: List) =>
  `query ($first: Int, $after: Cursor) { ${list}(first: $first, after: $after) { nodes { id } pageInfo { hasNextPage endCursor } totalCount } }`;

async function see(list: List, by: Person | null = null, first = 100): Promise<string[]> {
  const { data } = await app.graphql<Answer>(PAGE(list), { first }, by?.token);
  return data[list].nodes.map(({ id }: { id: string }) => id);
}

const idsOf = (uuids: readonly string[]) => uuids.map((uuid) => globalId('Video', uuid));

describe.each(LISTS)('%s', (list) => {
  it('is what is public and plays, the same for everybody', async () => {
    const channel = await channelOf(app, ada);
    const [member, stranger, admin] = await Promise.all([person(app), person(app), person(app, 'ADMIN')]);
    await app.database.query(`INSERT INTO channel_member (channel_id, user_id, role) VALUES ($1, $2, 'VIEWER')`, [
      channel,
      member.userId,
    ]);
    const shown = await films(channel, 4);
    const others = await films(channel, 8);
    const hide = (change: string, id = others.pop()) =>
      app.database.query(`UPDATE video SET ${change} WHERE id = $1`, [id]);
    await hide(`visibility = 'PRIVATE'`);
    await hide(`visibility = 'UNLISTED'`);
    await hide(`state = 'BLOCKED'`);
    await hide(`state = 'FAILED'`);
    await hide(`state = 'PROCESSING'`);
    await hide(`verified_at = NULL`);
    await hide(`publish_at = now() + interval '1 hour'`);
    await hide(`deleted_at = now()`);
    await app.get(TrendingService).rank();
    for (const by of [null, stranger, member, ada, admin]) expect(await see(list, by)).toEqual(idsOf(shown));
  });

  it('leaves out what is hidden at once, and fills the page with what follows', async () => {
    const channel = await channelOf(app, ada);
    const shown = await films(channel, 10);
    await app.get(TrendingService).rank();
    const videoId = globalId('Video', shown[1] as string);
    expect(await ada.does('updateVideo', { videoId, visibility: 'PRIVATE' })).toEqual({ userErrors: [] });
    expect(await ada.does('deleteVideo', { videoId: globalId('Video', shown[2] as string) })).toEqual({
      userErrors: [],
    });
    expect(await see(list, ada, 4)).toEqual(idsOf([0, 3, 4, 5].map((n) => shown[n] as string)));
    expect(await ada.does('updateVideo', { videoId, visibility: 'PUBLIC' })).toEqual({ userErrors: [] });
    expect(await see(list, null, 4)).toEqual(idsOf([0, 1, 3, 4].map((n) => shown[n] as string)));
  });

  it("has nothing of a deleted channel, whose videos' turn has not come yet", async () => {
    const [kept, gone] = [await channelOf(app, ada), await channelOf(app, ada)];
    const lost = await films(gone, 3);
    const [left] = await films(kept, 1);
    await app.get(TrendingService).rank();
    expect(await see(list)).toHaveLength(4);
    await ada.does('deleteChannel', { channelId: globalId('Channel', gone) });
    expect(
      await app.database.query('SELECT id FROM video WHERE id = $1 AND deleted_at IS NULL', [lost[0]]),
    ).toHaveLength(1);
    expect(await see(list, ada)).toEqual(idsOf([left as string]));
  });

  it('has what was scheduled once its time has come', async () => {
    const channel = await channelOf(app, ada);
    const id = await videoIn(app, channel, ada, { publishAt: new Date(Date.now() + 3_600_000).toISOString() });
    await trend(id, 1);
    await app.get(VideosService).listDue();
    await app.get(TrendingService).rank();
    expect(await see(list, ada)).toEqual([]);
    await app.database.query(`UPDATE video SET publish_at = now() - interval '1 s' WHERE id = $1`, [id]);
    await app.get(VideosService).listDue();
    await app.get(TrendingService).rank();
    expect(await see(list)).toEqual(idsOf([id]));
  });

  it('takes no cursor of another list', async () => {
    const after = Buffer.from(JSON.stringify(['x', 1, 2])).toString('base64url');
    const { errors } = await app.graphql(PAGE(list), { after });
    expect(errors?.[0]?.extensions).toMatchObject({ code: 'BAD_USER_INPUT', reason: 'INVALID_CURSOR' });
  });
});

it.each([
  '2026-13-01 00:00:00+00',
  '2026-02-30 00:00:00+00',
  '0000-01-01 00:00:00+00',
  '2026-01-01 24:00:00+00',
  '2026-01-01 00:00:00+99:99',
])('a cursor with the time %s is none', async (time) => {
  const after = Buffer.from(JSON.stringify([time, '00000000-0000-4000-8000-000000000000'])).toString('base64url');
  const { errors } = await app.graphql(PAGE('newest'), { after });
  expect(errors?.[0]?.extensions).toMatchObject({ code: 'BAD_USER_INPUT', reason: 'INVALID_CURSOR' });
});

it("a follower's feed has nothing of a deleted channel, whose videos' turn has not come yet", async () => {
  const channel = await channelOf(app, ada);
  const eve = await person(app);
  await eve.does('subscribeToChannel', { channelId: globalId('Channel', channel) });
  const [film] = await films(channel, 1);
  const feed = async () =>
    (await eve.ask('{ viewer { subscriptionFeed { nodes { id } } } }')).viewer.subscriptionFeed.nodes;
  expect(await feed()).toEqual([{ id: globalId('Video', film as string) }]);
  await ada.does('deleteChannel', { channelId: globalId('Channel', channel) });
  expect(await feed()).toEqual([]);
});

it('pages are complete and without repeats while videos come, go, and are watched', async () => {
  process.stderr.write(`feeds: SEED=${SEED}\n`);
  const [feeds, trending] = [app.get(FeedsService), app.get(TrendingService)];
  const channels = await Promise.all([...Array(4).keys()].map(() => channelOf(app, ada)));
  const random = randomFrom(SEED);
  const pick = <T>(from: readonly T[]) => from[Math.floor(random() * from.length)] as T;
  /** Listed now; the moment at which each came. */
  const listed = new Map<string, string>();
  const hidden: string[] = [];
  const come = async () => {
    const id = await videoIn(app, pick(channels), ada);
    // Some at the same moment: they have places of their own all the same.
    const at = new Date(Date.now() - Math.floor(random() * 40) * 1000);
    at.setMilliseconds(0);
    await app.database.query('UPDATE video SET listed_at = $2 WHERE id = $1', [id, at]);
    await trend(id, random() * 10);
    listed.set(id, at.toISOString());
  };
  for (let n = 0; n < 60; n++) await come();

  /** All that was not touched since the walk began. */
  let steady = new Set<string>();
  const leave = (id: string) => {
    listed.delete(id);
    steady.delete(id);
  };
  const deeds: (() => Promise<unknown>)[] = [
    come,
    come,
    async () => {
      const id = pick([...listed.keys()]);
      await app.database.query(`UPDATE video SET visibility = 'PRIVATE' WHERE id = $1`, [id]);
      hidden.push(id);
      leave(id);
    },
    async () => {
      const id = hidden.pop();
      if (!id) return;
      const [row] = await app.database.query<{ at: Date }>(
        `UPDATE video SET visibility = 'PUBLIC' WHERE id = $1 RETURNING listed_at AS at`,
        [id],
      );
      listed.set(id, (row?.at as Date).toISOString());
    },
    async () => {
      if (listed.size < 40) return come();
      const id = pick([...listed.keys()]);
      await app.get(VideosService).delete({ userId: ada.userId, sessionId: '', role: 'MEMBER' } as never, id);
      leave(id);
    },
    async () => trend(pick([...listed.keys()]), random() * 12),
    async () => trend(pick([...listed.keys()]), random() * 12),
    async () => trending.rank(),
  ];

  for (let walk = 0; walk < WALKS; walk++) {
    const list = pick(LISTS);
    await trending.rank();
    steady = new Set(listed.keys());
    const read = (after: string | null) => {
      const first = 1 + Math.floor(random() * 9);
      return list === 'newest' ? feeds.newest(first, after) : trending.page(first, after);
    };
    const seen: string[] = [];
    for (let after: string | null = null; ; ) {
      const page = await read(after);
      for (const row of page.rows) expect(listed.has(row.id)).toBe(true);
      seen.push(...page.rows.map(({ id }) => id));
      if (!page.hasNextPage) break;
      after = page.rows.at(-1)?.place ?? null;
      for (let deed = Math.floor(random() * 6); deed > 0; deed--) await pick(deeds)();
    }
    expect({ walk, list, repeats: seen.length - new Set(seen).size }).toEqual({ walk, list, repeats: 0 });
    expect({ walk, list, lost: [...steady].filter((id) => !seen.includes(id)) }).toEqual({ walk, list, lost: [] });
    if (list === 'newest') {
      const times = await app.database.query<{ at: string }>(
        'SELECT listed_at::text AS at FROM unnest($1::uuid[]) WITH ORDINALITY x (id, n) JOIN video v USING (id) ORDER BY n',
        [seen],
      );
      expect(times.map(({ at }) => at)).toEqual(
        times
          .map(({ at }) => at)
          .toSorted()
          .reverse(),
      );
    }
  }
}, 300_000);

describe('what is watched now', () => {
  it('is read on as it was, while the first page is of the ranking that is', async () => {
    const channel = await channelOf(app, ada);
    const [a, b, c, d] = (await films(channel, 4)) as [string, string, string, string];
    const trending = app.get(TrendingService);
    await trending.rank();
    const first = await trending.page(2);
    await trend(d, 5_000);
    await trend(a, 0);
    await trending.rank();
    const second = await trending.page(2, first.rows.at(-1)?.place);
    expect([...first.rows, ...second.rows].map(({ id }) => id)).toEqual([a, b, c, d]);
    expect(second.hasNextPage).toBe(false);
    expect(await see('trending')).toEqual(idsOf([d, b, c, a]));
  });

  it('is not written anew while it stays as it is, nor within a minute', async () => {
    const [id] = (await films(await channelOf(app, ada), 3)) as [string];
    const trending = app.get(TrendingService);
    const generations = async () => (await app.database.query('SELECT FROM trending_generation')).length;
    await Promise.all([...Array(5).keys()].map(() => trending.rank()));
    expect(await generations()).toBe(1);
    await trend(id, 0);
    await trending.keep();
    expect(await generations()).toBe(1);
    await app.database.query(`UPDATE trending_generation SET looked_at = looked_at - interval '61 s'`);
    await trending.keep();
    expect(await generations()).toBe(2);
  });

  it('says that a ranking is not kept any more, an hour after another took its place', async () => {
    const [id] = (await films(await channelOf(app, ada), 3)) as [string];
    const trending = app.get(TrendingService);
    await trending.rank();
    const after = (await trending.page(1)).rows[0]?.place as string;
    // However long it was the ranking.
    await app.database.query(`UPDATE trending_generation SET looked_at = now() - interval '5 hours'`);
    await trend(id, 0);
    await trending.rank();
    expect((await trending.page(1, after)).rows).toHaveLength(1);
    await app.database.query(
      `UPDATE trending_generation SET looked_at = now() - interval '61 min' WHERE generation = (SELECT min(generation) FROM trending_generation)`,
    );
    await trend(id, 2_000);
    await trending.rank();
    const { errors } = await app.graphql(PAGE('trending'), { after });
    expect(errors?.[0]?.extensions).toMatchObject({ code: 'CURSOR_EXPIRED', field: ['after'] });
    expect(await app.database.query('SELECT DISTINCT generation FROM trending')).toHaveLength(2);
  });

  it('ends at a place beyond any', async () => {
    await films(await channelOf(app, ada), 2);
    await app.get(TrendingService).rank();
    const [row] = await app.database.query<{ generation: number }>(
      'SELECT max(generation)::int AS generation FROM trending',
    );
    const at = (...parts: number[]) => Buffer.from(JSON.stringify(parts)).toString('base64url');
    const { data } = await app.graphql<Answer>(PAGE('trending'), { after: at(row?.generation as number, 2 ** 40) });
    expect(data.trending.nodes).toEqual([]);
    const { errors } = await app.graphql(PAGE('trending'), { after: at(2 ** 50, 1) });
    expect(errors?.[0]?.extensions).toMatchObject({ code: 'CURSOR_EXPIRED' });
  });

  it('is nothing where there is nothing', async () => {
    await app.get(TrendingService).rank();
    expect(await see('trending')).toEqual([]);
    expect(await app.database.query('SELECT FROM trending_generation')).toEqual([]);
  });
});

it('comes by itself: what is published is in both lists', async () => {
  const working = await startApp();
  try {
    const owner = await person(working);
    const { id: channel } = await working.get(ChannelsService).create(owner.userId, { handle: 'films', name: 'Films' });
    const video = await videoIn(working, channel, owner, { visibility: 'PRIVATE' });
    const input = { videoId: globalId('Video', video), visibility: 'PUBLIC' };
    expect(await owner.does('updateVideo', input)).toEqual({ userErrors: [] });
    const lists = () => owner.ask('{ newest { nodes { id } } trending { nodes { id } } }');
    const films = { nodes: [{ id: globalId('Video', video) }] };
    expect((await lists()).newest).toEqual(films);
    await until(lists, ({ trending }) => trending.nodes.length > 0);
    expect((await lists()).trending).toEqual(films);
  } finally {
    await working.stop();
  }
}, 60_000);
