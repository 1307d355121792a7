import type { VideoOrder } from './search-index.js';

/**
 * The parts of a list, in their order: titles that are the query; those of best score that match by title and tags, then the
 * rest of them, or all at once; titles that are the query with another word in it; descriptions. None has what stands before it.
 */
const SEGMENTS = ['TITLE', 'FIRST', 'REST', 'ALL', 'NEAR', 'BODY_FIRST', 'BODY'] as const;
export type Segment = (typeof SEGMENTS)[number];

export const isSegment = (text: string): text is Segment => SEGMENTS.some((segment) => segment === text);

/**
 * @param titles where titles that stand apart do, if there are any
 * @param after where the page before ended: what is behind that, and the part itself
 */
export function segmentsOf(list: {
  isFrequent: boolean;
  titles: 'TITLE' | 'NEAR' | null;
  orderBy: VideoOrder;
  after: Segment | null;
}): Segment[] {
  const { titles, orderBy, after } = list;
  // A list that was begun one way goes on that way.
  const isTiered = after === 'FIRST' || after === 'REST' || (list.isFrequent && after !== 'ALL');
  const by = (order: VideoOrder): readonly Segment[] => {
    const near: Segment[] = titles === 'NEAR' ? ['NEAR'] : [];
    // What is sorted by time is not split by score; titles that are the query are among those that match.
    if (order === 'NEWEST') return ['ALL', ...near, 'BODY'];
    const title: Segment[] = titles === 'TITLE' ? ['TITLE'] : [];
    return [...title, ...(isTiered ? (['FIRST', 'REST'] as const) : (['ALL'] as const)), ...near, 'BODY_FIRST', 'BODY'];
  };
  const from = after === null ? 0 : SEGMENTS.indexOf(after);
  return by(orderBy).filter((segment) => SEGMENTS.indexOf(segment) >= from);
}
