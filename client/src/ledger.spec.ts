import { Ledger, type Snapshot } from './ledger.js';

const snapshot = (changes: Partial<Snapshot>): Snapshot => ({
  state: 'OPEN',
  sizeBytes: 100,
  committedBytes: 0,
  covered: [],
  writers: [],
  ...changes,
});
const nobody = () => false;

test('the server has the last word, except over what it acknowledged meanwhile', () => {
  const ledger = new Ledger(100);
  ledger.add([0, 50]);
  ledger.merge(snapshot({ covered: [[0, 20]] }), ledger.moment, nobody, 0);
  expect(ledger.covered).toEqual([[0, 20]]);
  const before = ledger.moment;
  ledger.add([20, 60]);
  ledger.merge(snapshot({ covered: [[0, 20]] }), before, nobody, 0);
  expect(ledger.covered).toEqual([[0, 60]]);
  ledger.add([60, 100]);
  expect(ledger.isWhole).toBe(true);
});

test('what has arrived counts, settled or not, and nothing twice', () => {
  const ledger = new Ledger(100);
  ledger.merge(snapshot({ covered: [[0, 20]], writers: [{ start: 10, received: 30, end: 100 }] }), 0, () => true, 0);
  expect(ledger.counted).toBe(40);
  expect(ledger.committedBytes).toBe(20);
  expect(ledger.others).toEqual([]);
});

test('other writers are known until they stand still', () => {
  const ledger = new Ledger(100);
  const writers = [
    { start: 0, received: 10, end: 50 },
    { start: 50, received: 5, end: 100 },
  ];
  const look = (now: number, received: number) =>
    ledger.merge(
      snapshot({ writers: [{ ...writers[0], received } as never, writers[1] as never] }),
      0,
      (start) => start === 50,
      now,
    );
  look(0, 10);
  expect(ledger.others).toEqual([[10, 50]]);
  look(4_000, 20);
  look(8_000, 20);
  expect(ledger.others).toEqual([[20, 50]]);
  expect(ledger.theirs).toEqual([[0, 20]]);
  look(9_500, 20);
  expect(ledger.others).toEqual([]);
});
