import type { Container } from './container.js';
import type { Packets } from './packets.js';
import { parseProbe } from './probe.js';
import { packetVerdict } from './verdict.js';

function judged(kind: Container['kind'], found: Partial<Packets>, duration: string | null = '100'): string {
  const container: Container = { kind, truncated: false, fragmented: false, encrypted: false };
  const stream = { index: 0, codec_type: 'video', codec_name: 'h264', width: 640, height: 360, start_time: '0' };
  const known = duration === null ? {} : { duration };
  const probe = parseProbe(JSON.stringify({ streams: [stream], format: { format_name: 'x', ...known } }), container, 1);
  const packets: Packets = {
    ...{ read: 'all', ended: true, count: 2500, declaredCount: 2500, astray: 0, isCut: false },
    declaredSeconds: kind === 'mp4' ? 100 : null,
    ...{ start: 0, end: 100, firstStart: 0, lastEnd: 100, pictures: null },
    ...found,
  };
  const verdict = packetVerdict(probe, packets);
  return verdict.accepted ? 'accepted' : verdict.code;
}

it.each<[string, Container['kind'], Partial<Packets>, string | null, string]>([
  ['what its index says', 'mp4', {}, '100', 'accepted'],
  ['two pictures less, as of a writer that was stopped', 'mp4', { count: 2498 }, '100', 'accepted'],
  ['many pictures less', 'mp4', { count: 2400, end: 96 }, '100', 'CORRUPT'],
  ['many pictures less at an open end', 'mp4', { count: 2400, end: 96, isCut: true }, '100', 'TRUNCATED'],
  ['no picture at all', 'mp4', { count: 0, start: null, end: null }, '100', 'CORRUPT'],
  ['no picture at an open end', 'mp4', { count: 0, isCut: true }, '100', 'TRUNCATED'],
  ['nothing at the end of a large file', 'matroska', { read: 'tail', count: 0 }, '100', 'TRUNCATED'],
  ['pictures elsewhere', 'mp4', { astray: 1 }, '100', 'CORRUPT'],
  ['nothing, since there was no time', 'mp4', { ended: false, count: 0 }, '100', 'accepted'],
  ['less than its track says', 'mp4', { end: 90 }, '100', 'DURATION_MISMATCH'],
  [
    'less than its header says',
    'matroska',
    { declaredSeconds: null, end: 10, lastEnd: 10 },
    '100',
    'DURATION_MISMATCH',
  ],
  ['less, and cut', 'matroska', { declaredSeconds: null, end: 10, lastEnd: 10, isCut: true }, '100', 'TRUNCATED'],
  ['sound that goes on', 'matroska', { declaredSeconds: null, end: 100, lastEnd: 300 }, '100', 'DURATION_MISMATCH'],
  ['a start that counts', 'matroska', { start: 40, end: 100, firstStart: 40, lastEnd: 100 }, '60', 'accepted'],
  ['no length', 'matroska', { declaredSeconds: null }, null, 'accepted'],
  ['an estimate', 'mpegts', { declaredSeconds: null, end: 10 }, '100', 'accepted'],
  ['a day without a word', 'matroska', { end: 90_000, lastEnd: 90_000 }, null, 'TOO_LONG'],
  ['500 pictures a second', 'mp4', { count: 50_000, declaredCount: 50_000 }, '100', 'FPS_TOO_HIGH'],
])('of a file that holds %s (%s)', (_, kind, found, duration, code) => {
  expect(judged(kind, found, duration)).toBe(code);
});
