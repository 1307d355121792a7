import { spread, tilesOf } from './storyboard.js';

const ADDRESS = 'https://video.example/media/TOKEN/storyboard.vtt?a=b';

describe('tilesOf', () => {
  it('reads the cues of a track, and nothing from elsewhere in it', () => {
    const track = `WEBVTT

NOTE storyboard/9.jpg#xywh=no,0,0,0

00:00:00.000 --> 00:00:02.000
storyboard/0.jpg#xywh=0,0,160,90

00:00:02.000 --> 00:00:04.000
storyboard/1.jpg#xywh=160,90,160,90
`;
    expect(tilesOf(track, ADDRESS)).toEqual([
      { sheet: 'https://video.example/media/TOKEN/storyboard/0.jpg', x: 0, y: 0, width: 160, height: 90 },
      { sheet: 'https://video.example/media/TOKEN/storyboard/1.jpg', x: 160, y: 90, width: 160, height: 90 },
    ]);
    expect(tilesOf('<!doctype html>', ADDRESS)).toEqual([]);
  });
});

describe('spread', () => {
  it.each([0, 1, 9, 10, 11, 15, 19, 20, 100, 1234])('takes at most ten of %i, the first among them', (count) => {
    const items = Array.from({ length: count }, (_, index) => index);
    const taken = spread(items, 10);
    expect(taken).toHaveLength(Math.min(10, count));
    expect(taken.slice(0, 1)).toEqual(items.slice(0, 1));
    const gaps = taken.slice(1).map((item, index) => item - (taken[index] ?? 0));
    expect(Math.max(0, ...gaps) - Math.min(1234, ...gaps)).toBeLessThanOrEqual(1);
  });
});
