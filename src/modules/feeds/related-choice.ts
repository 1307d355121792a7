/** How many go with a video, in all. */
export const MOST_RELATED = 48;
/** Of how many videos with a term is known: of what has as many, or more, nobody knows how frequent it is. */
export const MOST_WITH_TERM = 64;
/** Of one channel, while there are others. */
const MOST_OF_CHANNEL = 16;

const SAME_CHANNEL = 1;
const SAME_LANGUAGE = 0.5;
const TEN_TIMES_THE_VIEWS = 0.25;
const FREQUENT_TERM = 0.1;

/** Something that may go with a video. */
export interface Candidate {
  id: string;
  channelId: string;
  language: string | null;
  views: number;
  /** The weights of the terms that both have. */
  terms: number;
}

/** What it says that two videos share a term which `videos` have, those two among them: the fewer, the more. */
export function weightOf(videos: number): number {
  return videos < MOST_WITH_TERM ? 2 - Math.log10(Math.max(videos, 2)) : FREQUENT_TERM;
}

/** How well it goes with a video: docs/decisions/0033-feeds.md. */
export function scoreOf(candidate: Candidate, video: { channelId: string; language: string | null }): number {
  return (
    candidate.terms +
    (candidate.channelId === video.channelId ? SAME_CHANNEL : 0) +
    (video.language !== null && primary(candidate.language) === primary(video.language) ? SAME_LANGUAGE : 0) +
    TEN_TIMES_THE_VIEWS * Math.log10(candidate.views + 1)
  );
}

/** The best, of one channel a third of them at most unless there are too few others; what goes alike by its id. */
export function choose(
  candidates: readonly Candidate[],
  video: { channelId: string; language: string | null },
): string[] {
  const sorted = candidates
    .map((candidate) => ({ candidate, score: scoreOf(candidate, video) }))
    .toSorted((one, other) => other.score - one.score || (one.candidate.id < other.candidate.id ? -1 : 1))
    .map(({ candidate }) => candidate);
  const ofChannel = new Map<string, number>();
  const [within, beyond]: [string[], string[]] = [[], []];
  for (const { id, channelId } of sorted) {
    const count = (ofChannel.get(channelId) ?? 0) + 1;
    ofChannel.set(channelId, count);
    (count <= MOST_OF_CHANNEL ? within : beyond).push(id);
  }
  return [...within, ...beyond].slice(0, MOST_RELATED);
}

/** `de` of `de-CH`. */
const primary = (language: string | null) => language?.split('-')[0] ?? null;
