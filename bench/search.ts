import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import copy from 'pg-copy-streams';
import { randomFrom } from '../test/support/random.js';
import { COMMON_WORDS, Corpus, HIDDEN_WORD, withTypo } from './corpus.js';
import { graphql, type Place, type Server } from './place.js';
import { median, quantile, shuffled, spread, table } from './report.js';

const root = fileURLToPath(new URL('../', import.meta.url));
const AT_ONCE = 4;
const KINDS = ['exact title', 'title with one typo', 'word of 5 % of titles'] as const;
type Kind = (typeof KINDS)[number];
/** Of each kind, in a round. */
const QUERIES = 200;
const CRAWLED = 300;
/** The other engine, in its process. */
const INDEXED_WITHIN_MS = 600_000;

interface Asked {
  kind: Kind;
  query: string;
  /** What an answer must hold: this title, or this word in each. */
  expected: string;
}
/** The titles that a query finds, the best first. */
type Search = (query: string) => Promise<string[]>;

interface Engine {
  name: string;
  /** Of each round, ms. */
  p50: Record<Kind | 'all', number[]>;
  p95: Record<Kind | 'all', number[]>;
  /** Shares of all queries, 0 to 1. */
  recall: Record<Kind, { found: number; asked: number }>;
}

export interface SearchMeasured {
  videos: number;
  visible: number;
  reindexSeconds: number;
  engines: Engine[];
  /** How many ways of asking for what is hidden were tried, and in how many answers it stood. */
  crawl: { tried: number; shown: number };
}

/** Titles with their answers, in a product that was filled by hand and indexed by its own command, and in an index beside it. */
export async function measureSearch(
  place: Place,
  { videos, rounds }: { videos: number; rounds: number },
): Promise<SearchMeasured> {
  const corpus = new Corpus(videos);
  const documents = join(place.folder, 'titles.txt');
  const { titles, hidden, visible } = await seed(place, corpus, documents);
  process.stderr.write(`${visible} of ${videos} videos can be seen; indexing\n`);
  const began = performance.now();
  await command('reindex', place);
  const reindexSeconds = (performance.now() - began) / 1000;
  await place.db.query('VACUUM ANALYZE');
  process.stderr.write(`indexed in ${reindexSeconds.toFixed(1)} s; the other engine now\n`);

  const server = await place.start('dist/main.js', '/readyz', {
    ROLE: 'api',
    LOG_LEVEL: 'warn',
    RATE_LIMIT_FACTOR: '0',
  });
  const memory = process.env.BENCH_NODE_OPTIONS;
  process.env.BENCH_NODE_OPTIONS = '--max-old-space-size=8000';
  const peer = await place.start('bench/peers/minisearch.ts', '/', { DOCUMENTS: documents }, INDEXED_WITHIN_MS);
  if (memory === undefined) delete process.env.BENCH_NODE_OPTIONS;
  else process.env.BENCH_NODE_OPTIONS = memory;

  const searches: Record<string, Search> = { Sluice: searchOf(server), MiniSearch: searchOfPeer(peer) };
  const engines = Object.keys(searches).map(
    (name): Engine => ({
      name,
      p50: { ...byKind(() => [] as number[]), all: [] },
      p95: { ...byKind(() => [] as number[]), all: [] },
      recall: byKind(() => ({ found: 0, asked: 0 })),
    }),
  );
  const random = randomFrom(7);
  // The first round warms up.
  for (let round = 0; round <= rounds; round++) {
    const asked = questions(titles, random);
    for (const engine of shuffled(engines)) {
      const took = await askAll(asked, searches[engine.name] as Search, round > 0 ? engine : null);
      if (round === 0) continue;
      for (const kind of [...KINDS, 'all'] as const) {
        const times = took.filter((each) => kind === 'all' || each.kind === kind).map(({ ms }) => ms);
        engine.p50[kind].push(quantile(times, 0.5));
        engine.p95[kind].push(quantile(times, 0.95));
      }
    }
    process.stderr.write(`round ${round} of ${rounds}\n`);
  }
  return { videos, visible, reindexSeconds, engines, crawl: await crawl(server, hidden) };
}

const byKind = <Value>(make: () => Value) =>
  Object.fromEntries(KINDS.map((kind) => [kind, make()])) as Record<Kind, Value>;

async function seed(place: Place, corpus: Corpus, documents: string) {
  const { rows } = await place.db.query<{ id: string }>(
    `INSERT INTO app_user (email, email_key, display_name, password_hash) VALUES ('ada@example.org', 'ada@example.org', 'Ada', 'none') RETURNING id`,
  );
  const owner = rows[0]?.id as string;
  const channels = await place.db.query<{ id: string }>(
    `INSERT INTO channel (handle, handle_key, name) SELECT 'channel' || n, 'channel' || n, 'Channel ' || n FROM generate_series(1, $1::int) n RETURNING id`,
    [corpus.channels],
  );
  await place.db.query(`INSERT INTO channel_member (channel_id, user_id, role) SELECT id, $1, 'OWNER' FROM channel`, [
    owner,
  ]);
  await place.db.query(
    `CREATE UNLOGGED TABLE seeded (id uuid DEFAULT gen_random_uuid(), channel_id uuid, title text, language text, visible boolean, views bigint, age_days float8, duration_ms int)`,
  );
  const titles: string[] = [];
  const hidden: string[] = [];
  const out = createWriteStream(documents);
  const lines = function* () {
    for (const video of corpus.videos()) {
      const { title, language, isVisible, views, ageDays, durationMs, channel } = video;
      (isVisible ? titles : hidden).push(title);
      if (isVisible) out.write(`${title}\n`);
      yield `${[channels.rows[channel]?.id, title, language, isVisible, views, ageDays, durationMs].join('\t')}\n`;
    }
  };
  const client = await place.db.connect();
  try {
    await pipeline(
      Readable.from(lines()),
      client.query(
        copy.from('COPY seeded (channel_id, title, language, visible, views, age_days, duration_ms) FROM STDIN'),
      ),
    );
  } finally {
    client.release();
  }
  out.end();
  await finished(out);
  // What is hidden is so in each way in turn: private, unlisted, with its time to come, not whole yet.
  await place.db.query(
    `INSERT INTO video (id, channel_id, owner_id, title, language, visibility, state, stage, duration_ms, publish_at, verified_at, published_at, listed_at, created_at)
     SELECT id, channel_id, $1, title, language, CASE WHEN visible OR way IN (2, 3) THEN 'PUBLIC' WHEN way = 0 THEN 'PRIVATE' ELSE 'UNLISTED' END,
            'READY', 'DONE', duration_ms, CASE WHEN NOT visible AND way = 2 THEN now() + interval '1 day' END,
            CASE WHEN visible OR way <> 3 THEN at END, at, CASE WHEN visible THEN at END, at
     FROM (SELECT *, abs(hashtext(id::text)) % 4 AS way, now() - age_days * interval '1 day' AS at FROM seeded) s`,
    [owner],
  );
  await place.db.query(
    `INSERT INTO video_popularity (video_id, view_count, trend) SELECT id, greatest(views, 0), 0 FROM seeded WHERE visible
     ON CONFLICT (video_id) DO UPDATE SET view_count = excluded.view_count`,
  );
  await place.db.query('DROP TABLE seeded');
  await place.db.query('VACUUM ANALYZE');
  return { titles, hidden, visible: titles.length };
}

async function command(name: string, place: Place): Promise<void> {
  const child = spawn(process.execPath, [join(root, 'scripts/command.mjs'), name], {
    env: {
      PATH: process.env.PATH,
      DATA_DIR: join(place.folder, 'data'),
      DATABASE_URL: place.databaseUrl,
      REDIS_URL: place.redisUrl,
      TOKEN_SECRET: place.secret,
      STORAGE_SECRET: place.secret,
      PLAYBACK_SECRET: place.secret,
    },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error(`${name} ended with ${code}.`);
}

const SEARCH = 'query Search($query: String!) { searchVideos(query: $query) { nodes { title } } }';
const searchOf =
  ({ url }: Server): Search =>
  async (query) => {
    const { searchVideos } = await graphql<{ searchVideos: { nodes: { title: string }[] } }>(url, SEARCH, { query });
    return searchVideos.nodes.map(({ title }) => title);
  };
const searchOfPeer =
  ({ url }: Server): Search =>
  async (query) => {
    const response = await fetch(`${url}/search?q=${encodeURIComponent(query)}`);
    return (await response.json()) as string[];
  };

function questions(titles: readonly string[], random: () => number): Asked[] {
  const any = <Item>(items: readonly Item[]) => items[Math.floor(random() * items.length)] as Item;
  const of = (kind: Kind): Asked => {
    const expected = kind === 'word of 5 % of titles' ? any(COMMON_WORDS) : any(titles);
    return { kind, expected, query: kind === 'title with one typo' ? withTypo(expected, random) : expected };
  };
  return shuffled(KINDS.flatMap((kind) => Array.from({ length: QUERIES }, () => of(kind))));
}

/** @param engine whose recall is noted; null while it warms up */
async function askAll(asked: readonly Asked[], search: Search, engine: Engine | null) {
  const took: { kind: Kind; ms: number }[] = [];
  const left = [...asked];
  const one = async () => {
    for (let next = left.pop(); next; next = left.pop()) {
      const { kind, query, expected } = next;
      const began = performance.now();
      const found = await search(query);
      took.push({ kind, ms: performance.now() - began });
      if (!engine) continue;
      const isWord = kind === 'word of 5 % of titles';
      const holds = isWord
        ? found.length === 20 && found.every((title) => title.split(' ').includes(expected))
        : found.includes(expected);
      engine.recall[kind].asked++;
      if (holds) engine.recall[kind].found++;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, one));
  return took;
}

/** Asks for what nobody may see, in every way that answers with words of videos. */
async function crawl({ url }: Server, hidden: readonly string[]) {
  const random = randomFrom(11);
  const asking = `query Crawl($query: String!, $prefix: String!) {
    best: searchVideos(query: $query, first: 100) { totalCount correctedQuery nodes { title } edges { highlights } }
    newest: searchVideos(query: $query, orderBy: NEWEST, first: 100) { totalCount nodes { title } edges { highlights } }
    searchSuggestions(prefix: $prefix, first: 20)
  }`;
  let [tried, shown] = [0, 0];
  for (let n = 0; n < CRAWLED; n++) {
    const title = hidden[Math.floor(random() * hidden.length)] ?? '';
    const rare = HIDDEN_WORD.slice(0, 4 + Math.floor(random() * (HIDDEN_WORD.length - 3)));
    for (const query of [title, withTypo(title, random), rare, HIDDEN_WORD, `"${HIDDEN_WORD}"`]) {
      const answer = await graphql<{ best: { correctedQuery: string | null } }>(url, asking, {
        query,
        prefix: query.slice(0, 50),
      });
      // Saying again what was asked shows nothing; correcting it to that would.
      if (query.includes(HIDDEN_WORD)) answer.best.correctedQuery = null;
      tried++;
      if (JSON.stringify(answer).includes(HIDDEN_WORD)) shown++;
    }
  }
  return { tried, shown };
}

const percent = ({ found, asked }: { found: number; asked: number }) => `${((100 * found) / asked).toFixed(1)} %`;

export function searchTable({ videos, visible, reindexSeconds, engines, crawl }: SearchMeasured): string {
  const [ours, theirs] = engines;
  const rows = engines.flatMap((engine) =>
    ([...KINDS, 'all'] as const).map((kind) => [
      ...[engine.name, kind, spread(engine.p50[kind], 1), spread(engine.p95[kind], 1)],
      engine === ours && theirs ? (median(engine.p95[kind]) / median(theirs.p95[kind])).toFixed(2) : '',
      kind === 'all' ? '' : percent(engine.recall[kind]),
    ]),
  );
  return [
    `${videos} videos, ${visible} to be seen; reindex ${reindexSeconds.toFixed(1)} s; ${AT_ONCE} at once`,
    table(['engine', 'query', 'p50 ms', 'p95 ms', '× p95', 'recall'], rows),
    `hidden videos: asked for in ${crawl.tried} ways, shown in ${crawl.shown}`,
  ].join('\n\n');
}
