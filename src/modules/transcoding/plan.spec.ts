import type { Timing } from '../media/index.js';
import { ladder } from './ladder.js';
import { type PiecePlan, plan, rungsOf } from './plan.js';

function timingOf(fpsNum: number, fpsDen: number, frames: number): Timing {
  const gopFrames = Math.round((2 * fpsNum) / fpsDen);
  const timescale = fpsNum % 1000 === 0 ? fpsNum : 512 * fpsNum;
  return {
    fpsNum,
    fpsDen,
    frames,
    gopFrames,
    timescale,
    v0: 0,
    videoStart: 0,
    segmentFrames: 2 * gopFrames,
    segmentCount: Math.ceil(frames / (2 * gopFrames)),
    frameDuration: (timescale / fpsNum) * fpsDen,
  };
}
const rungs = ladder({ width: 640, height: 360 }, 30, {
  rungs: [
    { shortSide: 240, maxBitsPerSecond: 400_000 },
    { shortSide: 360, maxBitsPerSecond: 800_000 },
  ],
});
const RATES = [
  [24_000, 1001],
  [25, 1],
  [25, 2],
  [30_000, 1001],
  [30, 1],
  [50, 1],
  [60_000, 1001],
  [5, 1],
] as const;
const kinds = (pieces: readonly PiecePlan[]) => pieces.map((piece) => `${piece.kind} ${piece.number}`);

/** The segments of a piece, by number from 1 and length in frames. */
function segmentsOf(piece: PiecePlan, segmentFrames: number): { number: number; frames: number }[] {
  const first = piece.firstFrame / segmentFrames + 1;
  const count = Math.ceil(piece.frameCount / segmentFrames);
  return Array.from({ length: count }, (_, index) => ({
    number: first + index,
    frames: Math.min(segmentFrames, piece.frameCount - index * segmentFrames),
  }));
}

describe('plan', () => {
  it('plays early: a first piece of the lowest rung alone', () => {
    const { pieces } = plan(timingOf(30, 1, 600), rungs, true, 3);
    expect(kinds(pieces)).toEqual(['FIRST 0', 'VIDEO 0', 'VIDEO 1', 'VIDEO 2', 'AUDIO 0', 'STILLS 0']);
    expect(pieces[0]).toMatchObject({ firstFrame: 0, frameCount: 120 });
    expect(rungsOf('FIRST', rungs)).toEqual([rungs[0]]);
    expect(rungsOf('VIDEO', rungs)).toEqual(rungs);
  });

  it('does nothing twice that is one segment of one rung', () => {
    expect(kinds(plan(timingOf(30, 1, 120), rungs.slice(0, 1), false, 3).pieces)).toEqual(['FIRST 0', 'STILLS 0']);
    expect(kinds(plan(timingOf(30, 1, 121), rungs.slice(0, 1), false, 3).pieces)).toContain('VIDEO 0');
    expect(kinds(plan(timingOf(30, 1, 1), rungs, false, 3).pieces)).toEqual(['FIRST 0', 'VIDEO 0', 'STILLS 0']);
  });

  it.each(RATES)('pieces tile the frames, and segments the pieces: %d/%d', (num, den) => {
    for (let frames = 1; frames < 2500; frames += 37) {
      const timing = timingOf(num, den, frames);
      const segmentsPerPiece = 1 + (frames % 15);
      const { pieces, renditions } = plan(timing, rungs, true, segmentsPerPiece);
      const video = pieces.filter((piece) => piece.kind === 'VIDEO');
      expect(video.reduce((next, piece) => (piece.firstFrame === next ? next + piece.frameCount : -1), 0)).toBe(frames);

      const segments = video.flatMap((piece) => segmentsOf(piece, timing.segmentFrames));
      expect(segments.map((segment) => segment.number)).toEqual(segments.map((_, index) => index + 1));
      expect(segments.slice(0, -1).every((segment) => segment.frames === timing.segmentFrames)).toBe(true);
      for (const { firstFrame, frameCount } of video) {
        const count = Math.ceil(frameCount / timing.segmentFrames);
        expect(count).toBeLessThanOrEqual(segmentsPerPiece);
        if (count > 2) expect(3 * count).toBeLessThanOrEqual(timing.segmentCount - firstFrame / timing.segmentFrames);
      }

      for (const rendition of renditions.filter((each) => each.kind === 'VIDEO')) {
        expect(rendition.segmentCount).toBe(segments.length);
        expect(rendition.totalDuration).toBe(
          segments.reduce((sum, segment) => sum + segment.frames * timing.frameDuration, 0),
        );
        expect(Number.isInteger(timing.frameDuration)).toBe(true);
        expect(rendition.totalDuration / rendition.timescale).toBeCloseTo((frames * den) / num, 9);
      }
    }
  });

  it('has smaller pieces towards the end, so that none is waited for alone', () => {
    const seconds = (frames: number) =>
      plan(timingOf(30, 1, frames), rungs, false, 3)
        .pieces.filter(({ kind }) => kind === 'VIDEO')
        .map(({ frameCount }) => frameCount / 30);
    expect(seconds(58 * 30)).toEqual([12, 12, 12, 8, 8, 6]);
    expect(seconds(8 * 30)).toEqual([8]);
  });

  it.each(RATES)('sound lasts as long as the picture, cut at whole samples: %d/%d', (num, den) => {
    const timing = timingOf(num, den, 1234);
    const sound = plan(timing, rungs, true, 3).renditions.at(-1);
    expect(sound).toMatchObject({ name: 'audio', kind: 'AUDIO', position: 2, timescale: 48_000 });
    expect(Math.abs((sound?.totalDuration ?? 0) / 48_000 - (1234 * den) / num)).toBeLessThan(1 / 48_000);
    expect(sound?.segmentDuration).toBe((timing.segmentFrames * 48_000 * den) / num);
    expect(plan(timing, rungs, false, 3).renditions).toHaveLength(2);
  });

  it('makes no piece where nothing is left to be encoded but the first', () => {
    const { renditions, pieces } = plan(timingOf(30, 1, 120), rungs, false, 3, { absent: [rungs[1]?.name ?? ''] });
    expect(renditions.map(({ onDemand }) => onDemand)).toEqual([null, 'ABSENT']);
    expect(kinds(pieces)).toEqual(['FIRST 0', 'STILLS 0']);
  });
});
