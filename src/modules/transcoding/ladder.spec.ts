import { ladder } from './ladder.js';

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
    expect(sizes(3840, 2160).at(-1)).toBe('1080p 1920x1080');
    expect(sizes(1080, 1920)).toEqual(sizes(1920, 1080).map((text) => text.replace(/(\d+)x(\d+)/, '$2x$1')));
    expect(sizes(720, 720).at(-1)).toBe('720p 720x720');
  });

  it('goes as high as it may, and to 1080 where nothing is said', () => {
    const names = (maxShortSide?: number, height = 2160) =>
      ladder({ width: (height * 16) / 9, height }, 30, { maxShortSide }).map((rung) => rung.name);
    expect(names(2160).slice(-3)).toEqual(['1080p', '1440p', '2160p']);
    expect(names(1440).at(-1)).toBe('1440p');
    expect(names(2160, 1440).at(-1)).toBe('1440p');
    expect(names(2160, 1080)).toEqual(names());
    expect(names(500)).toEqual(['240p', '360p', '480p']);
    expect(names(100)).toEqual(['240p']);
    expect(ladder({ width: 160, height: 120 }, 30, { maxShortSide: 100 })).toMatchObject([{ name: '120p' }]);
    expect(ladder({ width: 2160, height: 3840 }, 30, { maxShortSide: 2160 }).at(-1)).toMatchObject({
      ...{ name: '2160p', width: 2160, height: 3840, maxBitsPerSecond: 18_000_000 },
    });
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
});
