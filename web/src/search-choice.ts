import type { VideoSearch } from '../../client/src/api/index.js';

/** What the page of results is asked for, as its address says it: `/search?q=…&date=week&length=short&order=newest`. */
export interface Wanted {
  readonly query: string;
  readonly date: string;
  readonly length: string;
  readonly order: string;
}

const DAY_MS = 86_400_000;
const MINUTE_MS = 60_000;

/** In days. */
const DATES: Readonly<Record<string, number>> = { day: 1, week: 7, month: 30, year: 365 };
const LENGTHS: Readonly<Record<string, NonNullable<VideoSearch['filter']>>> = {
  short: { maxDurationMs: 4 * MINUTE_MS },
  medium: { minDurationMs: 4 * MINUTE_MS, maxDurationMs: 20 * MINUTE_MS },
  long: { minDurationMs: 20 * MINUTE_MS },
};

export const CHOICES = {
  date: [
    ['', 'Any time'],
    ['day', 'Last 24 hours'],
    ['week', 'Last 7 days'],
    ['month', 'Last 30 days'],
    ['year', 'Last year'],
  ],
  length: [
    ['', 'Any length'],
    ['short', 'Under 4 minutes'],
    ['medium', '4 to 20 minutes'],
    ['long', 'Over 20 minutes'],
  ],
  order: [
    ['', 'Best match'],
    ['newest', 'Newest first'],
  ],
} as const;

export function wantedOf(address: string): Wanted {
  const given = new URLSearchParams(address);
  const chosen = (name: keyof typeof CHOICES) => {
    const value = given.get(name) ?? '';
    return CHOICES[name].some(([known]) => known === value) ? value : '';
  };
  return { query: given.get('q') ?? '', date: chosen('date'), length: chosen('length'), order: chosen('order') };
}

export function addressOf({ query, ...chosen }: Wanted): string {
  const given = Object.entries(chosen).filter(([, value]) => value !== '');
  return `/search?${new URLSearchParams([['q', query], ...given])}`;
}

/** What the server is asked. @param now to whole minutes, so that the same choice is the same search for a while */
export function searchOf({ query, date, length, order }: Wanted, now: number): VideoSearch {
  const days = DATES[date];
  const from = Math.floor(now / MINUTE_MS) * MINUTE_MS;
  return {
    query,
    filter: {
      ...(days && { publishedAfter: new Date(from - days * DAY_MS).toISOString() }),
      ...LENGTHS[length],
    },
    orderBy: order === 'newest' ? 'NEWEST' : 'RELEVANCE',
  };
}
