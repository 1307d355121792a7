import type { Container } from './container.js';
import { mainAudio, parseProbe, probeArguments } from './probe.js';

const MP4: Container = { kind: 'mp4', truncated: false, fragmented: false, encrypted: false };

function parse(streams: object[], format: object = {}, container = MP4) {
  return parseProbe(JSON.stringify({ streams, format: { format_name: 'x', ...format } }), container, 1);
}

const video = { index: 0, codec_type: 'video', codec_name: 'h264', width: 720, height: 576 };

it.each([
  [{}, 720, 576, 0],
  [{ sample_aspect_ratio: '16:11' }, 1047, 576, 0],
  [{ side_data_list: [{ side_data_type: 'Display Matrix', rotation: -90 }] }, 576, 720, 90],
  [{ side_data_list: [{ side_data_type: 'Display Matrix', rotation: 90 }] }, 576, 720, 270],
  [{ side_data_list: [{ side_data_type: 'Display Matrix', rotation: 180 }] }, 720, 576, 180],
  [{ side_data_list: [{ side_data_type: 'Display Matrix', rotation: 45 }] }, 720, 576, 0],
  [{ sample_aspect_ratio: '2:1', side_data_list: [{ rotation: -90 }] }, 576, 1440, 90],
])('gives the size that people see: %j', (extra, width, height, rotation) => {
  expect(parse([{ ...video, ...extra }]).video).toMatchObject({
    width,
    height,
    rotation,
    codedWidth: 720,
    codedHeight: 576,
  });
});

it('passes over cover art, and looks for the default sound track', () => {
  const probe = parse([
    { ...video, index: 0, codec_name: 'mjpeg', disposition: { attached_pic: 1 } },
    { index: 1, codec_type: 'audio', codec_name: 'aac', channels: 2, sample_rate: '48000' },
    { ...video, index: 2 },
    {
      index: 3,
      codec_type: 'audio',
      codec_name: 'ac3',
      channels: 6,
      sample_rate: '48000',
      disposition: { default: 1 },
    },
  ]);
  expect(probe.video?.index).toBe(2);
  expect(mainAudio(probe)?.index).toBe(3);
  expect(mainAudio({ ...probe, audio: probe.audio.slice(0, 1) })?.index).toBe(1);
  expect(mainAudio({ ...probe, audio: [] })).toBeNull();
});

it('takes the length of a Matroska track from its tag, then from the file, less the start', () => {
  const format = { start_time: '0', duration: '12.5' };
  expect(parse([{ ...video, start_time: '0.5' }], format).video?.duration).toBe(12);
  expect(
    parse([{ ...video, start_time: '0.5', tags: { DURATION: '00:00:10.250000000' } }], format).video?.duration,
  ).toBe(9.75);
  expect(parse([video], {}).video?.duration).toBeNull();
});

it('sees HDR, interlacing and Common Encryption', () => {
  expect(parse([{ ...video, color_transfer: 'smpte2084' }]).video?.hdr).toBe(true);
  expect(parse([{ ...video, color_transfer: 'bt709' }]).video?.hdr).toBe(false);
  expect(parse([{ ...video, field_order: 'bt' }]).video?.interlaced).toBe(true);
  expect(parse([{ ...video, field_order: 'progressive' }]).video?.interlaced).toBe(false);
  expect(parse([{ ...video, side_data_list: [{ side_data_type: 'Encryption initialization data' }] }]).encrypted).toBe(
    true,
  );
  expect(parse([video], {}, { ...MP4, encrypted: true }).encrypted).toBe(true);
});

it.each(['', '{', '{"streams":[{"index":0,'])('takes an answer that was cut short (%s) for none', (json) => {
  expect(parseProbe(json, MP4, 1)).toMatchObject({ demuxer: null, video: null, audio: [], streamCount: 0 });
});

it('puts both lists and the pixel limit before the input, where ffprobe heeds them', () => {
  const args = probeArguments('/x');
  for (const option of ['-protocol_whitelist', '-format_whitelist', '-max_pixels']) {
    expect(args.indexOf(option)).toBeGreaterThanOrEqual(0);
    expect(args.indexOf(option)).toBeLessThan(args.indexOf('-i'));
  }
});
