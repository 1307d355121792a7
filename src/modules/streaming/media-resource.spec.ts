import { mediaResource, stillPath } from './media-resource.js';

describe('mediaResource', () => {
  it.each([
    ['master.m3u8', { kind: 'master' }],
    ['manifest.mpd', { kind: 'manifest', planned: false }],
    ['planned.mpd', { kind: 'manifest', planned: true }],
    ['r1/360p/index.m3u8', { kind: 'playlist', run: 1, rendition: '360p' }],
    ['r1/360p/iframes.m3u8', { kind: 'keys', run: 1, rendition: '360p' }],
    ['r12/audio/init.mp4', { kind: 'init', run: 12, rendition: 'audio' }],
    ['r1/360p/14.m4s', { kind: 'segment', run: 1, rendition: '360p', number: 14 }],
    ['r1/poster/0.jpg', { kind: 'still', run: 1, still: 'POSTER', number: 0 }],
    ['r1/storyboard/2.jpg', { kind: 'still', run: 1, still: 'STORYBOARD', number: 2 }],
    ['r1/storyboard.vtt', { kind: 'storyboard', run: 1 }],
    ['r3/download.mp4', { kind: 'download', run: 3 }],
  ])('reads %s', (path, resource) => {
    expect(mediaResource(path)).toEqual(resource);
  });

  it('reads what it writes', () => {
    expect(mediaResource(stillPath(4, 'THUMBNAIL', 7))).toEqual({
      kind: 'still',
      run: 4,
      still: 'THUMBNAIL',
      number: 7,
    });
  });

  it.each([
    '',
    'r1/360p/0.m4s',
    'r1/360p/01.m4s',
    'r1/360p/-1.m4s',
    'r1/360p/1.m4s/',
    'r1/360p/1.m4s\n',
    'r1/../360p/1.m4s',
    'r1/%2e%2e/1.m4s',
    'r1/360P/1.m4s',
    'r1/360p/12345678.m4s',
    'r1/poster/0.png',
    'download.mp4',
    'r1/planned.mpd',
    'r1/360p/index.m3u8?x',
    '../master.m3u8',
  ])('knows nothing of %j', (path) => {
    expect(mediaResource(path)).toBeNull();
  });
});
