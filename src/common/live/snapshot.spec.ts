import { advance, formatSnapshot, isVisible, isWithin, parseSnapshot, type Snapshot } from './snapshot.js';

const of = (text: string) => parseSnapshot(text) as Snapshot;
const xids = Array.from({ length: 30 }, (_, index) => index + 1);
const seen = (snapshot: Snapshot) => xids.filter((xid) => isVisible(xid, snapshot));

/** A run of transactions that begin in order and end in any: the snapshot after each end, and the order of the ends. */
function history(random: () => number): Snapshot[] {
  const open = new Set<number>();
  const snapshots: Snapshot[] = [];
  let next = 5;
  while (snapshots.length < 15) {
    if (next < 28 && (open.size === 0 || random() < 0.5)) open.add(next++);
    else {
      const ended = [...open][Math.floor(random() * open.size)] as number;
      open.delete(ended);
      const xip = [...open].sort((a, b) => a - b);
      snapshots.push({ xmin: xip[0] ?? next, xmax: next, xip });
    }
    if (next === 28 && open.size === 0) break;
  }
  return snapshots;
}

function randoms(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    return state / 2 ** 31;
  };
}

it.each(['10:10:', '10:20:10,15', '10:20:12', '1:9007199254740991:'])('%s is read and written', (text) => {
  expect(formatSnapshot(of(text))).toBe(text);
});

it.each([
  '',
  '10',
  '10:9:',
  '0:1:',
  '10:20:9',
  '10:20:20',
  '10:20:12,11',
  '10:20:12,12',
  '10:20:,',
  'a:b:',
  '-1:2:',
  '1:2:x',
  '1:99999999999999999:',
  '1:9999999999999999:',
])('%j is refused', (text) => expect(parseSnapshot(text)).toBeNull());

it('shows what had ended', () => {
  expect(seen(of('10:14:10,12'))).toEqual([...xids.slice(0, 9), 11, 13]);
});

it('tells whether one shows all that another does', () => {
  for (let seed = 0; seed < 30; seed++) {
    const snapshots = history(randoms(seed));
    for (const a of snapshots) {
      for (const b of snapshots) {
        const inBoth = seen(a).every((xid) => isVisible(xid, b));
        if (isWithin(a, b)) expect(inBoth).toBe(true);
        if (snapshots.indexOf(a) <= snapshots.indexOf(b)) expect(isWithin(a, b)).toBe(true);
      }
    }
  }
  expect(isWithin(of('20:20:'), of('10:20:10'))).toBe(false);
  expect(isWithin(of('10:20:10'), of('10:20:10'))).toBe(true);
});

it('advances by one transaction after the other, without forgetting what was seen', () => {
  for (let seed = 0; seed < 30; seed++) {
    const snapshots = history(randoms(seed));
    const from = snapshots[Math.floor(seed % snapshots.length)] as Snapshot;
    for (const to of snapshots.slice(snapshots.indexOf(from))) {
      for (const xid of xids) {
        const expected = xids.filter((one) => isVisible(one, from) || (one < xid && isVisible(one, to)));
        const got = advance(from, to, xid);
        expect(`${seen(got)}`).toBe(`${expected}`);
        expect(formatSnapshot(of(formatSnapshot(got)))).toBe(formatSnapshot(got));
      }
    }
  }
});
