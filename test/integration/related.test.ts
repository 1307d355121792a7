import { Database } from '../../src/common/database/index.js';
import { RelatedService, TrendingService } from '../../src/modules/feeds/index.js';
import { VideoTermsService } from '../../src/modules/feeds/video-terms.service.js';
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

let app: TestApp;
let ada: Person;
let eve: Person;
beforeAll(async () => {
  // No worker: what these tests make is all there is.
  app = await startApp({ role: 'api', rateLimitFactor: 1_000 });
  [ada, eve] = await Promise.all([person(app), person(app)]);
});
afterAll(() => app.stop());
/** Each test has the lists to itself. */
beforeEach(async () => {
  for (const table of ['related_videos', 'video_term', 'video_popularity', 'trending_generation'])
    await app.database.query(`DELETE FROM ${table}`);
  await app.database.query('UPDATE video SET deleted_at = now() WHERE deleted_at IS NULL');
});

interface Film {
  title?: string;
  tags?: string[];
  language?: string;
  views?: number;
  visibility?: string;
}

async function film(channel: string, { title = 'A film', tags = [], language, views = 0, visibility }: Film = {}) {
  const id = await videoIn(app, channel, ada, { visibility });
  await app.database.query('UPDATE video SET title = $2, tags = $3, language = $4 WHERE id = $1', [
    id,
    title,
    tags,
    language ?? null,
  ]);
  await app.database.query(
    'INSERT INTO video_popularity (video_id, view_count, trend) VALUES ($1, $2::bigint, $2::bigint)',
    [id, views],
  );
  await app.get(VideoTermsService).refresh(id);
  return id;
}

const RELATED = `query ($id: ID!, $first: Int, $after: Cursor) { video(id: $id) {
  related(first: $first, after: $after) { nodes { id } edges { cursor } pageInfo { hasNextPage hasPreviousPage endCursor } } } }`;

async function related(id: string, by: Person | null = null, first = 48, after: string | null = null): Promise<Answer> {
  const answer = await app.graphql<Answer>(RELATED, { id: globalId('Video', id), first, after }, by?.token);
  if (answer.errors) throw new Error(JSON.stringify(answer.errors));
  return answer.data.video?.related ?? null;
}

const uuidOf = (id: string) => Buffer.from(id, 'base64url').toString().slice('Video:'.length);
const idsOf = (page: Answer): string[] => page.nodes.map(({ id }: { id: string }) => uuidOf(id));

it('is what shares rare words and tags, then what its channel has, then what is watched, and never itself', async () => {
  const [own, other] = [await channelOf(app, ada), await channelOf(app, ada)];
  const seen = await film(own, { title: 'The locks of Delft', tags: ['canals', 'slow tv'], language: 'nl' });
  const watched = await film(other, { views: 900 });
  const unwatched = await film(other);
  const sameLanguage = await film(other, { title: 'Molens', language: 'nl-NL' });
  const sameChannel = await film(own, { title: 'Bridges' });
  const oneTag = await film(other, { title: 'Rowing', tags: ['Canals'] });
  const tagAndWord = await film(other, { title: 'Rowing through Delft', tags: ['Canals'] });
  await app.get(TrendingService).rank();
  // The words that many have say little: two of these are called "A film".
  const best = [tagAndWord, oneTag, sameChannel, watched, sameLanguage, unwatched];
  expect(idsOf(await related(seen))).toEqual(best);
});

it('leaves out what is hidden at once, and shows it to its owner neither', async () => {
  const [channel, gone] = [await channelOf(app, ada), await channelOf(app, ada)];
  const seen = await film(channel, { tags: ['canals'] });
  const all = [
    await film(channel, { tags: ['canals'] }),
    await film(channel, { tags: ['canals'] }),
    await film(gone, { tags: ['canals'] }),
    await film(gone, { tags: ['canals'] }),
  ] as const;
  await film(channel, { tags: ['canals'], visibility: 'PRIVATE' });
  await film(channel, { tags: ['canals'], visibility: 'UNLISTED' });
  expect(idsOf(await related(seen, ada)).toSorted()).toEqual(all.toSorted());
  await ada.does('updateVideo', { videoId: globalId('Video', all[0]), visibility: 'PRIVATE' });
  await ada.does('deleteChannel', { channelId: globalId('Channel', gone) });
  for (const by of [null, ada]) {
    expect(idsOf(await related(seen, by))).toEqual([all[1]]);
    // Pages are filled with what is left.
    const page = await related(seen, by, 1);
    expect({ ids: idsOf(page), more: page.pageInfo.hasNextPage }).toEqual({ ids: [all[1]], more: false });
  }
});

it('goes with a private video too, for who may see that', async () => {
  const channel = await channelOf(app, ada);
  const seen = await film(channel, { tags: ['canals'], visibility: 'PRIVATE' });
  const other = await film(channel, { tags: ['canals'] });
  expect(idsOf(await related(seen, ada))).toEqual([other]);
  expect(await related(seen, eve)).toBeNull();
  expect(await app.database.query('SELECT FROM video_term WHERE video_id = $1', [seen])).toEqual([]);
});

it('pages have each once and all, though the list is chosen anew between them and videos go', async () => {
  const channels = await Promise.all([...Array(5).keys()].map(() => channelOf(app, ada)));
  const seen = await film(channels[0] as string, { tags: ['canals'] });
  for (let n = 0; n < 60; n++) await film(channels[n % 5] as string, { tags: ['canals'], views: n });
  const whole = idsOf(await related(seen));
  expect(whole).toHaveLength(48);
  const found: string[] = [];
  const went: string[] = [];
  for (let after: string | null = null; ; ) {
    const page = await related(seen, null, 7, after);
    expect(page.pageInfo.hasPreviousPage).toBe(after !== null);
    expect(page.edges.at(-1)?.cursor).toBe(page.pageInfo.endCursor);
    found.push(...idsOf(page));
    if (!page.pageInfo.hasNextPage) break;
    after = page.pageInfo.endCursor;
    // Another list from now on, and one video less.
    await film(channels[1] as string, { tags: ['canals'], views: 100_000 });
    const next = whole[whole.indexOf(found.at(-1) as string) + 3];
    if (next) {
      await app.database.query('UPDATE video SET deleted_at = now() WHERE id = $1', [next]);
      went.push(next);
    }
    await app.database.query('DELETE FROM related_videos');
  }
  expect(went.length).toBeGreaterThan(3);
  expect(found).toEqual(whole.filter((id) => !went.includes(id)));
  expect(idsOf(await related(seen)).filter((id) => !whole.includes(id)).length).toBeGreaterThan(0);
});

/** How often lists are chosen by `work`. */
async function choices(work: () => Promise<unknown>): Promise<number> {
  const service = app.get(RelatedService);
  const choose = jest.spyOn(service, 'candidates');
  try {
    await work();
    return choose.mock.calls.length;
  } finally {
    choose.mockRestore();
  }
}

it('is chosen once for a crowd, and kept for an hour; where there is little, for a minute', async () => {
  const channel = await channelOf(app, ada);
  const seen = await film(channel);
  await film(channel);
  const age = (interval: string) =>
    app.database.query(`UPDATE related_videos SET made_at = made_at - interval '${interval}'`);
  expect(await choices(() => Promise.all([...Array(30).keys()].map(() => related(seen))))).toBe(1);
  expect(await choices(() => related(seen))).toBe(0);
  await age('61 s');
  expect(await choices(() => related(seen))).toBe(1);
  for (let n = 0; n < 50; n++) await film(channel);
  await age('61 s');
  expect(await choices(() => related(seen))).toBe(1);
  await age('59 min');
  expect(await choices(() => related(seen))).toBe(0);
  await age('2 min');
  expect(await choices(() => related(seen))).toBe(1);
  await app.get(RelatedService).sweep();
  expect(await app.database.query('SELECT FROM related_videos')).toHaveLength(1);
  await age('1 day');
  await app.get(RelatedService).sweep();
  expect(await app.database.query('SELECT FROM related_videos')).toEqual([]);
});

it('of many videos at once is read at once', async () => {
  const channel = await channelOf(app, ada);
  for (let n = 0; n < 12; n++) await film(channel, { tags: ['canals'] });
  const ask = () => eve.ask(`{ newest(first: 12) { nodes { related(first: 3) { nodes { id title } } } } }`);
  await ask();
  const query = jest.spyOn(app.get(Database), 'query');
  try {
    await ask();
    const asked = query.mock.calls.map(([sql]) => sql);
    expect(asked.filter((sql) => sql.includes('FROM related_videos'))).toHaveLength(1);
    // The twelve videos, and those that go with them.
    expect(asked.filter((sql) => sql.includes('FROM video v')).length).toBeLessThanOrEqual(2);
  } finally {
    query.mockRestore();
  }
});

it('has bounds', async () => {
  const seen = await film(await channelOf(app, ada));
  const code = async (query: string) => (await app.graphql(query)).errors?.[0]?.extensions.code;
  const id = globalId('Video', seen);
  expect(await code(`{ video(id: "${id}") { related(first: 49) { nodes { id } } } }`)).toBe('BAD_USER_INPUT');
  expect(await code(`{ video(id: "${id}") { related(after: "AAAA") { nodes { id } } } }`)).toBe('BAD_USER_INPUT');
  expect(await code('{ newest(first: 30) { nodes { related { nodes { id } } } } }')).toBe('GRAPHQL_VALIDATION_FAILED');
});

describe('terms', () => {
  const terms = async (id: string) =>
    (
      await app.database.query<{ term: string }>('SELECT term FROM video_term WHERE video_id = $1 ORDER BY term', [id])
    ).map(({ term }) => term);

  it('are those of the video as it is, however many make them', async () => {
    const id = await film(await channelOf(app, ada), { title: 'The locks of Delft', tags: ['Slow TV'] });
    expect(await terms(id)).toEqual(['delft', 'locks', 'slow tv', 'the']);
    await app.database.query(`UPDATE video SET title = 'Mills', tags = '{canals}' WHERE id = $1`, [id]);
    await Promise.all([...Array(5).keys()].map(() => app.get(VideoTermsService).refresh(id)));
    expect(await terms(id)).toEqual(['canals', 'mills']);
    await app.database.query(`UPDATE video SET visibility = 'PRIVATE' WHERE id = $1`, [id]);
    await app.get(VideoTermsService).refresh(id);
    expect(await terms(id)).toEqual([]);
  });

  it('stay while it is scheduled anew: its time comes without a word, and until then it is not shown', async () => {
    const channel = await channelOf(app, ada);
    const [seen, other] = [await film(channel, { tags: ['canals'] }), await film(channel, { tags: ['canals'] })];
    const at = (time: string) => app.database.query(`UPDATE video SET publish_at = ${time} WHERE id = $1`, [other]);
    await at(`now() + interval '1 hour'`);
    await app.get(VideoTermsService).refresh(other);
    expect(await terms(other)).toEqual(['canals', 'film']);
    expect(idsOf(await related(seen))).toEqual([]);
    await at(`now() - interval '1 s'`);
    await app.database.query('DELETE FROM related_videos');
    expect(idsOf(await related(seen))).toEqual([other]);
  });

  it('come to what a process of the version before published', async () => {
    const id = await videoIn(app, await channelOf(app, ada), ada);
    await app.get(VideoTermsService).sweep(new AbortController().signal);
    expect(await terms(id)).toEqual(['film']);
  });

  it('that cannot be written keep no other video from its own', async () => {
    const channel = await channelOf(app, ada);
    const [bad, good] = (await Promise.all([videoIn(app, channel, ada), videoIn(app, channel, ada)])).toSorted();
    await app.database.query(
      `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not this one'; END $$;
       CREATE TRIGGER refuse BEFORE INSERT ON video_term FOR EACH ROW WHEN (new.video_id = '${bad}') EXECUTE FUNCTION refuse()`,
    );
    try {
      const job = { jobId: 'failing', signal: new AbortController().signal } as never;
      const after = '00000000-0000-0000-0000-000000000000';
      await expect(app.get(VideoTermsService).make({ after }, job)).rejects.toThrow('not this one');
      expect([await terms(bad as string), await terms(good as string)]).toEqual([[], ['film']]);
      const rows = await app.database.query(`SELECT FROM job WHERE dedupe_key = 'MakeVideoTerms failing'`);
      expect(rows).toHaveLength(1);
    } finally {
      await app.database.query('DROP FUNCTION refuse CASCADE');
    }
  });

  it('stand in the order of views and age', async () => {
    const id = await film(await channelOf(app, ada), { title: 'Mills' });
    const score = async () =>
      (await app.database.query<{ score: number }>('SELECT score FROM video_term'))[0]?.score ?? 0;
    const before = await score();
    await app.database.query('UPDATE video_popularity SET view_count = 9999 WHERE video_id = $1', [id]);
    await app
      .get(VideoTermsService)
      .onPopularityChanged({ videoIds: [id] }, { signal: new AbortController().signal } as never);
    expect((await score()) - before).toBe(4_000);
    await app.database.query(`UPDATE video SET listed_at = listed_at - interval '16 years' WHERE id = $1`, [id]);
    await app.get(VideoTermsService).refresh(id);
    expect(Math.abs((await score()) - before)).toBeLessThan(5);
  });
});

it('keeps itself: what is published, changed and deleted, and what was there before', async () => {
  const working = await startApp();
  try {
    const owner = await person(working);
    const channel = await channelOf(working, owner);
    const before = await videoIn(working, channel, owner);
    await working.database.query(`UPDATE video SET title = 'An old film' WHERE id = $1`, [before]);
    // As the migration does where there are videos.
    await working.database.query(
      `INSERT INTO job (name, queue, payload) VALUES ('MakeVideoTerms', 'default', '{"after": "00000000-0000-0000-0000-000000000000"}')`,
    );
    const video = await videoIn(working, channel, owner, { visibility: 'PRIVATE' });
    const videoId = globalId('Video', video);
    const terms = async () =>
      (
        await working.database.query<{ term: string }>('SELECT term FROM video_term ORDER BY video_id <> $1, term', [
          before,
        ])
      ).map(({ term }) => term);
    await until(terms, (all) => all.join() === 'film,old');
    expect(await owner.does('updateVideo', { videoId, title: 'Mills', visibility: 'PUBLIC' })).toEqual({
      userErrors: [],
    });
    await until(terms, (all) => all.join() === 'film,old,mills');
    expect(await owner.does('updateVideo', { videoId, tags: ['old'] })).toEqual({ userErrors: [] });
    await until(terms, (all) => all.join() === 'film,old,mills,old');
    const { video: shown } = await owner.ask(`{ video(id: "${videoId}") { related { nodes { title } } } }`);
    expect(shown.related.nodes).toEqual([{ title: 'An old film' }]);
    expect(await owner.does('deleteVideo', { videoId })).toEqual({ userErrors: [] });
    await until(terms, (all) => all.join() === 'film,old');
    const kept = () => working.database.query('SELECT FROM related_videos WHERE video_id = $1', [video]);
    const soon = `UPDATE job SET run_at = now() WHERE state = 'QUEUED' AND run_at > now() AND name ~ '>VideoTerms'`;
    await until(
      async () => {
        await working.database.query(soon);
        return kept();
      },
      (rows) => rows.length === 0,
    );
  } finally {
    await working.stop();
  }
}, 120_000);
