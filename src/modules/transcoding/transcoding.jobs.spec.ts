import { inOrder, jobOf } from './transcoding.jobs.js';

const size = { pixels: [100_000, 400_000], framesPerSecond: 25 };

describe('jobOf', () => {
  it('costs by the pixels that are encoded', () => {
    expect(jobOf({ kind: 'VIDEO', frameCount: 300 }, size)).toMatchObject({
      definition: { queue: 'encode' },
      cost: 150,
    });
    expect(jobOf({ kind: 'FIRST', frameCount: 100 }, size)).toMatchObject({ definition: { queue: 'first' }, cost: 10 });
  });

  it('costs sound by its length, and stills nothing', () => {
    expect(jobOf({ kind: 'AUDIO', frameCount: 250 }, size)).toMatchObject({ cost: 50 });
    expect(jobOf({ kind: 'STILLS', frameCount: 250 }, size)).toMatchObject({ cost: 0, next: true });
  });
});

it('inOrder puts what plays first first', () => {
  const pieces = [
    { kind: 'VIDEO', number: 1 },
    { kind: 'VIDEO', number: 0 },
    { kind: 'AUDIO', number: 0 },
  ] as const;
  expect(inOrder(pieces).map((piece) => `${piece.kind} ${piece.number}`)).toEqual(['AUDIO 0', 'VIDEO 0', 'VIDEO 1']);
});
