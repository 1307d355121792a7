/**
 * A snapshot of PostgreSQL (pg_snapshot): which transactions had come to light at one moment. Numbers hold what an xid8
 * can come to: 2^53 transactions.
 */
export interface Snapshot {
  /** All below are visible. */
  readonly xmin: number;
  /** None from here on is. */
  readonly xmax: number;
  /** Those between that were under way, ascending. */
  readonly xip: readonly number[];
}

const TEXT = /^(\d{1,16}):(\d{1,16}):((?:\d{1,16}(?:,\d{1,16})*)?)$/;

/** Null for what PostgreSQL would refuse. */
export function parseSnapshot(text: string): Snapshot | null {
  const [, min = '', max = '', list = ''] = TEXT.exec(text) ?? [];
  const xmin = Number(min);
  const xmax = Number(max);
  const xip = list === '' ? [] : list.split(',').map(Number);
  const inOrder = xip.every((xid, at) => xid >= xmin && xid < xmax && xid > (xip[at - 1] ?? -1));
  return min !== '' && xmin > 0 && xmin <= xmax && Number.isSafeInteger(xmax) && inOrder ? { xmin, xmax, xip } : null;
}

export function formatSnapshot({ xmin, xmax, xip }: Snapshot): string {
  return `${xmin}:${xmax}:${xip.join(',')}`;
}

export function isVisible(xid: number, { xmin, xmax, xip }: Snapshot): boolean {
  return xid < xmin || (xid < xmax && !xip.includes(xid));
}

/** Whether all that is visible in `earlier` is visible in `later`. */
export function isWithin(earlier: Snapshot, later: Snapshot): boolean {
  return earlier.xmax <= later.xmax && !later.xip.some((xid) => isVisible(xid, earlier));
}

/**
 * Where somebody stands who has had all of `from` and then, in their order, all transactions of `to` that are below `xid`.
 *
 * @param to a snapshot taken after `from`
 */
export function advance(from: Snapshot, to: Snapshot, xid: number): Snapshot {
  const xip =
    xid < from.xmax
      ? from.xip.filter((open) => open >= xid || !isVisible(open, to))
      : to.xip.filter((open) => open < xid);
  const xmax = Math.max(from.xmax, Math.min(xid, to.xmax));
  return { xmin: xip[0] ?? xmax, xmax, xip };
}
