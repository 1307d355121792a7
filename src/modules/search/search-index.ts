import type { VideoRow } from '../videos/index.js';

export interface VideoFilter {
  channelId?: string;
  /** When it came into lists. */
  publishedAfter?: Date;
  publishedBefore?: Date;
  minDurationMs?: number;
  maxDurationMs?: number;
  /** All of them. */
  tags?: readonly string[];
  /** BCP 47: `de` finds `de-CH` too. */
  language?: string;
}

export type VideoOrder = 'RELEVANCE' | 'NEWEST';

export interface VideoSearch {
  readonly text: string;
  readonly filter: VideoFilter;
  readonly orderBy: VideoOrder;
}

/** Ids with their places, as cursors. They were listed when the index was asked; who shows them asks again. */
export interface FoundPage {
  readonly rows: readonly { id: string; place: string }[];
  readonly hasNextPage: boolean;
}

export interface FoundVideos extends FoundPage {
  /** What was looked for instead of what was typed, in words of these. Null when that was looked for. */
  correctedQuery(videos: readonly VideoRow[]): string | null;
  /** Of each: the title, then a piece of the description where it matched, as HTML in which only `<mark>` is markup. */
  highlights(videos: readonly VideoRow[]): Promise<string[][]>;
}

/** What finds videos and channels by words. PostgreSQL does; another engine can be put in its place. */
export abstract class SearchIndex {
  /** @throws InvalidInput, SearchTooBroad */
  abstract videos(search: VideoSearch, first: number, after: string | null): Promise<FoundVideos>;
  /** Null where counting costs too much. @throws InvalidInput, SearchTooBroad */
  abstract countVideos(search: VideoSearch): Promise<number | null>;
  /** @throws InvalidInput, SearchTooBroad */
  abstract channels(text: string, first: number, after: string | null): Promise<FoundPage>;
  /** Titles, then words. @throws InvalidInput, SearchTooBroad */
  abstract suggestions(prefix: string, first: number): Promise<string[]>;

  /** Brings what is known of these to what their rows say now, gone ones included. */
  abstract updateVideos(videoIds: readonly string[]): Promise<void>;
  abstract updateChannels(channelIds: readonly string[]): Promise<void>;
  /** The same where only views are other ones. */
  abstract rescore(videoIds: readonly string[]): Promise<void>;
}
