import { readSettings } from '../../common/config/index.js';
import { ladder as ladderOf, onDemandRungs } from './ladder.js';

const { ladder: rungs } = readSettings({});
const ladder = (source: { width: number; height: number }, framesPerSecond: number) =>
  ladderOf(source, framesPerSecond, { rungs });

const sizes = (width: number, height: number) =>
  ladder({ width, height }, 30).map((rung) => `${rung.name} ${rung.width}x${rung.height}`);

describe('ladder', () => {
  it('goes by the short side, the lowest first', () => {
    expect(sizes(1920, 1080)).toEqual([
      '240p 426x240',
      '360p 640x360',
      '480p 854x480',
      '720p 1280x720',
      '1080p 1920x1080',
    ]);
    expect(sizes(3840, 2160).slice(-2)).toEqual(['1440p 2560x1440', '2160p 3840x2160']);
    expect(sizes(1080, 1920)).toEqual(sizes(1920, 1080).map((text) => text.replace(/(\d+)x(\d+)/, '$2x$1')));
    expect(sizes(720, 720).at(-1)).toBe('720p 720x720');
  });

  it('never makes a picture larger', () => {
    expect(sizes(1278, 718)).toEqual(['240p 428x240', '360p 640x360', '480p 854x480']);
    const sources = Array.from({ length: 16_000 }, (_, n) => ({ width: 2 + 7 * (n % 128), height: 2 + 7 * (n >> 7) }));
    const wrong = sources.filter((source) => {
      const rungs = ladder(source, 25);
      const fits = rungs.every(({ width, height }) => width <= source.width && height <= source.height);
      return rungs.length === 0 || !fits || rungs.some(({ width, height }) => width % 2 || height % 2);
    });
    expect(wrong).toEqual([]);
  });

  it('gives a small source one rung of its own even size', () => {
    expect(sizes(239, 179)).toEqual(['178p 238x178']);
    expect(sizes(3, 1)).toEqual(['2p 2x2']);
    expect(ladder({ width: 160, height: 120 }, 30)).toMatchObject([{ maxBitsPerSecond: 100_000 }]);
    expect(ladder({ width: 16, height: 16 }, 30)).toMatchObject([{ maxBitsPerSecond: 64_000 }]);
  });

  it('caps the rate, with more room above 30 frames a second', () => {
    const caps = (fps: number) => ladder({ width: 1920, height: 1080 }, fps).map((rung) => rung.maxBitsPerSecond);
    expect(caps(30)).toEqual([400_000, 800_000, 1_400_000, 2_800_000, 5_000_000]);
    expect(caps(60)).toEqual([600_000, 1_200_000, 2_100_000, 4_200_000, 7_500_000]);
  });

  it('has the rungs that are configured', () => {
    const own = readSettings({ LADDER: '144:200, 540:1200,1440:9000' }).ladder;
    const names = (width: number, height: number) =>
      ladderOf({ width, height }, 30, { rungs: own }).map((rung) => `${rung.name} ${rung.maxBitsPerSecond}`);
    expect(names(1920, 1080)).toEqual(['144p 200000', '540p 1200000']);
    expect(names(2560, 1440).at(-1)).toBe('1440p 9000000');
    expect(names(72, 72)).toEqual(['72p 64000']);
  });
});

it('onDemandRungs are those above a side, never the lowest, never what was copied', () => {
  const portrait = ladder({ width: 1080, height: 1920 }, 30);
  expect(onDemandRungs(portrait, 480)).toEqual(['720p', '1080p']);
  expect(onDemandRungs(portrait, 480, '1080p')).toEqual(['720p']);
  expect(onDemandRungs(portrait, 100)).toEqual(['360p', '480p', '720p', '1080p']);
  expect(onDemandRungs(portrait, 1080)).toEqual([]);
});
