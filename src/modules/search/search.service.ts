import { Injectable } from '@nestjs/common';
import { InvalidInput } from '../../common/errors/index.js';
import { type ChannelEntity, ChannelsService } from '../channels/index.js';
import { MAX_TAG, MAX_TAGS, type VideoRow, VideosService } from '../videos/index.js';
import { foldedWords } from './fold.js';
import { searchSeconds } from './search.metrics.js';
import { SearchIndex, type VideoSearch } from './search-index.js';
import { Turns } from './turns.js';

const MAX_SUGGESTIONS = 20;

/** One page: what may be shown of what was found, each with its place. */
export interface Results<Row> {
  readonly rows: readonly { row: Row; place: string }[];
  readonly hasNextPage: boolean;
  readonly startCursor: string | null;
  /** Of what was found last where there is more; else of what is shown last. */
  readonly endCursor: string | null;
}

export interface VideoResults extends Results<VideoRow> {
  readonly correctedQuery: string | null;
  readonly count: () => Promise<number | null>;
  /** In the order of the rows. */
  readonly highlights: () => Promise<string[][]>;
}

/** The index says what matches; the rows say what is shown: of what went from lists a moment ago, nothing is. */
@Injectable()
export class SearchService {
  private readonly turns = new Turns();

  constructor(
    private readonly index: SearchIndex,
    private readonly allVideos: VideosService,
    private readonly allChannels: ChannelsService,
  ) {}

  /** @throws InvalidInput, SearchTooBroad, SearchBusy */
  async videos(asked: VideoSearch, first: number, after: string | null): Promise<VideoResults> {
    const search = { ...asked, filter: cleanFilter(asked.filter) };
    const took = searchSeconds.startTimer({ of: 'videos' });
    const found = await this.turns.run(() => this.index.videos(search, first, after));
    took();
    const listed = await this.allVideos.listedByIds(found.rows.map(({ id }) => id));
    const page = resultsOf(found, listed);
    const shown = page.rows.map(({ row }) => row);
    let highlights: Promise<string[][]> | undefined;
    return {
      ...page,
      correctedQuery: found.correctedQuery(shown),
      count: () => this.turns.run(() => this.index.countVideos(search)),
      highlights: () => (highlights ??= found.highlights(shown)),
    };
  }

  /** @throws InvalidInput, SearchTooBroad, SearchBusy */
  async channels(text: string, first: number, after: string | null): Promise<Results<ChannelEntity>> {
    const took = searchSeconds.startTimer({ of: 'channels' });
    const found = await this.turns.run(() => this.index.channels(text, first, after));
    took();
    return resultsOf(found, await this.allChannels.byIds(found.rows.map(({ id }) => id)));
  }

  /** @throws InvalidInput, SearchTooBroad, SearchBusy */
  async suggestions(prefix: string, first: number): Promise<string[]> {
    if (first < 1 || first > MAX_SUGGESTIONS)
      throw new InvalidInput(`first must be 1 to ${MAX_SUGGESTIONS}.`, ['first']);
    const took = searchSeconds.startTimer({ of: 'suggestions' });
    const found = await this.turns.run(() => this.index.suggestions(prefix, first));
    took();
    return found;
  }
}

function resultsOf<Row>(
  found: { rows: readonly { id: string; place: string }[]; hasNextPage: boolean },
  shown: ReadonlyMap<string, Row>,
): Results<Row> {
  const rows = found.rows.flatMap(({ id, place }) => {
    const row = shown.get(id);
    return row ? [{ row, place }] : [];
  });
  const { hasNextPage } = found;
  const end = (hasNextPage ? found.rows : rows).at(-1)?.place ?? null;
  return { rows, hasNextPage, startCursor: rows[0]?.place ?? null, endCursor: end };
}

/** @throws InvalidInput */
function cleanFilter(filter: VideoSearch['filter']): VideoSearch['filter'] {
  const { tags, language } = filter;
  if (tags && tags.length > MAX_TAGS) throw new InvalidInput(`At most ${MAX_TAGS} tags.`, ['filter', 'tags']);
  for (const tag of tags ?? []) {
    if (tag.length > 2 * MAX_TAG || [...tag].length > MAX_TAG) {
      throw new InvalidInput(`A tag has at most ${MAX_TAG} characters.`, ['filter', 'tags']);
    }
    if (foldedWords(tag).length === 0) throw new InvalidInput('A tag has letters or digits.', ['filter', 'tags']);
  }
  return { ...filter, ...(language !== undefined && { language: VideosService.cleanLanguage(language) }) };
}
