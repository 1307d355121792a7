import { progressOf, renditionState, runProgress, secondsLeft } from './progress.js';

describe('progressOf', () => {
  it('goes from nothing to everything', () => {
    expect(progressOf([])).toBe(0);
    const kinds = (['FIRST', 'VIDEO', 'AUDIO', 'STILLS'] as const).map((kind) => ({ kind, frames: 600 }));
    expect(progressOf(kinds.map((each) => ({ ...each, framesDone: 0 })))).toBe(0);
    expect(progressOf(kinds.map((each) => ({ ...each, framesDone: 600 })))).toBe(1);
  });

  it('weighs by what a frame costs: the pictures are nearly everything', () => {
    const half = progressOf([
      { kind: 'VIDEO', frames: 600, framesDone: 300 },
      { kind: 'AUDIO', frames: 600, framesDone: 600 },
    ]);
    expect(half).toBeGreaterThan(0.5);
    expect(half).toBeLessThan(0.53);
  });
});

it('secondsLeft', () => {
  expect(secondsLeft(0.01, 10)).toBeNull();
  expect(secondsLeft(0.25, 10)).toBe(30);
  expect(secondsLeft(1, 10)).toBe(0);
});

it('renditionState', () => {
  const rendition = { hasFirst: false, segments: 0, segmentCount: 3, videoFailed: false, onDemand: null };
  expect(renditionState(rendition)).toBe('PENDING');
  expect(renditionState({ ...rendition, hasFirst: true, segments: 1 })).toBe('PLAYABLE');
  expect(renditionState({ ...rendition, segments: 1 })).toBe('PENDING');
  expect(renditionState({ ...rendition, hasFirst: true, segments: 1, videoFailed: true })).toBe('FAILED');
  expect(renditionState({ ...rendition, hasFirst: true, segments: 3, videoFailed: true })).toBe('READY');
  // As long as nobody has looked at all of it, it is not READY, however much is there.
  const all = { ...rendition, hasFirst: true, segments: 3 };
  expect(renditionState({ ...rendition, onDemand: 'ABSENT' })).toBe('ON_DEMAND');
  expect(renditionState({ ...rendition, onDemand: 'ASKED' })).toBe('PENDING');
  expect(renditionState({ ...all, onDemand: 'ASKED' })).toBe('PLAYABLE');
  expect(renditionState({ ...all, onDemand: 'MADE' })).toBe('READY');
  expect(renditionState({ ...rendition, onDemand: 'FAILED' })).toBe('FAILED');
});

it('runProgress goes by the queue where it can, else by what was done so far', () => {
  const run = { kinds: [{ kind: 'VIDEO', frames: 100, framesDone: 50 }] as const, seconds: 10, expectedSeconds: 90 };
  expect(runProgress(false, run)).toEqual({ progress: 0.5, secondsLeft: 90 });
  expect(runProgress(false, { ...run, expectedSeconds: null })).toEqual({ progress: 0.5, secondsLeft: 10 });
  expect(runProgress(true, run)).toEqual({ progress: 1, secondsLeft: null });
});
