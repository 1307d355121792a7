import { hasteOf, inOrder, jobOf } from './transcoding.jobs.js';

const size = { pixels: [100_000, 400_000], framesPerSecond: 25 };

describe('jobOf', () => {
  it('costs by the pixels that are encoded', () => {
    expect(jobOf({ kind: 'VIDEO', frameCount: 300 }, size)).toMatchObject({
      definition: { queue: 'encode' },
      cost: 150,
    });
    expect(jobOf({ kind: 'FIRST', frameCount: 100 }, size)).toMatchObject({ definition: { queue: 'first' }, cost: 10 });
  });

  it('costs sound by its length, its first seconds and stills nothing', () => {
    expect(jobOf({ kind: 'AUDIO', frameCount: 250 }, size)).toMatchObject({
      definition: { queue: 'encode' },
      cost: 50,
    });
    const firstSound = jobOf({ kind: 'AUDIO', frameCount: 100, segments: 1 }, size);
    expect(firstSound).toMatchObject({ definition: { name: 'EncodeFirstSound', queue: 'first' }, cost: 0 });
    // It has its owner's turn all the same.
    expect(firstSound.next).toBeUndefined();
    expect(jobOf({ kind: 'STILLS', frameCount: 250 }, size)).toMatchObject({ cost: 0, next: true });
  });
});

it('of one turn the first picture, which takes longer, is begun before the first sound', () => {
  const sound = jobOf({ kind: 'AUDIO', frameCount: 100, segments: 1 }, size).definition;
  const picture = jobOf({ kind: 'FIRST', frameCount: 100 }, size).definition;
  expect(sound.priority).toBeGreaterThan(picture.priority);
});

it('what has waited yields to what has just come', () => {
  expect([0, 1, 1.01, 600].map(hasteOf)).toEqual(['now', 'now', 'soon', 'soon']);
});

it('inOrder puts what plays first first, and sound before its picture', () => {
  const pieces = [
    { kind: 'VIDEO', number: 1 },
    { kind: 'VIDEO', number: 0 },
    { kind: 'FIRST', number: 0 },
    { kind: 'AUDIO', number: 0 },
  ] as const;
  expect(inOrder(pieces).map((piece) => `${piece.kind} ${piece.number}`)).toEqual([
    ...['AUDIO 0', 'FIRST 0', 'VIDEO 0', 'VIDEO 1'],
  ]);
});
