import { storyboardTrack } from './storyboard.js';

const SHEET = { number: 0, atMs: 0, width: 160, height: 90, columns: 2, tiles: 4, intervalMs: 2000 };

describe('storyboard track', () => {
  it('has a cue a tile, row by row, over all sheets, and ends with the video', () => {
    expect(storyboardTrack([SHEET, { ...SHEET, number: 1, atMs: 8000, tiles: 2 }], 11_250)).toBe(`WEBVTT

00:00:00.000 --> 00:00:02.000
storyboard/0.jpg#xywh=0,0,160,90

00:00:02.000 --> 00:00:04.000
storyboard/0.jpg#xywh=160,0,160,90

00:00:04.000 --> 00:00:06.000
storyboard/0.jpg#xywh=0,90,160,90

00:00:06.000 --> 00:00:08.000
storyboard/0.jpg#xywh=160,90,160,90

00:00:08.000 --> 00:00:10.000
storyboard/1.jpg#xywh=0,0,160,90

00:00:10.000 --> 00:00:11.250
storyboard/1.jpg#xywh=160,0,160,90
`);
  });

  it('counts hours and leaves out tiles beyond the end', () => {
    const late = { ...SHEET, atMs: 3_661_000, tiles: 3 };
    const text = storyboardTrack([late], 3_662_500);
    expect(text.match(/-->/g)).toHaveLength(1);
    expect(text).toContain('01:01:01.000 --> 01:01:02.500');
  });
});
