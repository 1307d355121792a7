import { PacketCounter, packetArguments } from './packets.js';
import type { Probe } from './probe.js';

const media = { ranges: [{ start: 100, end: 1000 }], isOpen: false };

function counted(lines: string[], over = media, log = '') {
  const counter = new PacketCounter(1, over);
  for (const line of lines) counter.line(line);
  return counter.result({ ended: true, log }, 'all');
}

it('adds up the picture, and knows when all of it begins and ends', () => {
  const lines = [
    'packet,0,-0.021333,-0.021333,0.021333,200,900,K_',
    'packet,1,0.080000,0.000000,0.040000,300,100,K_',
    'packet,1,0.000000,0.040000,0.040000,100,400,__,',
    'packet,0,0.500000,0.500000,0.021333,50,950',
    'stream,0,0.521333,2',
    'stream,1,0.120000,3',
    '',
  ];
  expect(counted(lines)).toEqual({
    ...{ read: 'all', ended: true, count: 2, declaredCount: 3, declaredSeconds: 0.12, astray: 0, isCut: false },
    pictures: [
      { pts: 0.08, offset: 100, size: 300, isKey: true },
      { pts: 0, offset: 400, size: 100, isKey: false },
    ],
    ...{ start: 0, end: expect.closeTo(0.12), firstStart: -0.021333, lastEnd: expect.closeTo(0.521333) },
  });
});

it('finds packets where no media is, and files that end too early', () => {
  expect(counted(['packet,1,0,0,0.04,100,950']).astray).toBe(1);
  expect(counted(['packet,1,0,0,0.04,100,50']).astray).toBe(1);
  expect(counted(['packet,1,N/A,N/A,N/A,N/A,N/A'])).toMatchObject({
    ...{ count: 1, astray: 0, start: null, end: null, pictures: null },
  });
  expect(counted([], { ...media, isOpen: true }).isCut).toBe(true);
  expect(counted([], media, '[matroska,webm] File ended prematurely').isCut).toBe(true);
  expect(new PacketCounter(0, null).result({ ended: false, log: '' }, 'tail')).toMatchObject({
    read: 'tail',
    count: 0,
  });
});

it('reads all of a small file and the end of a large one, edit lists aside', () => {
  const probe = { sizeBytes: 1000, container: { kind: 'mp4' }, video: { startTime: 10, duration: 100 } } as Probe;
  const small = packetArguments('/x', probe);
  expect(small.read).toBe('all');
  expect(small.args).toEqual(expect.arrayContaining(['-ignore_editlist', '-protocol_whitelist', '-format_whitelist']));
  expect(small.args).not.toContain('-read_intervals');
  const large = packetArguments('/x', { ...probe, sizeBytes: 2 ** 30 });
  expect(large.read).toBe('tail');
  expect(large.args[large.args.indexOf('-read_intervals') + 1]).toBe('104.000%');
});
