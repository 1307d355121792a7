import { createHash } from 'node:crypto';
import { bytesOf, checksumOf, metadataOf } from './tus-protocol.js';

const base64 = (text: string) => Buffer.from(text).toString('base64');

it.each([
  ['0', 0],
  ['109951162777600', 109_951_162_777_600],
  ['-1', null],
  ['1e3', null],
  ['', null],
  [' 1', null],
  ['9999999999999999', null],
  [undefined, null],
])('reads a count of bytes: %j', (text, bytes) => expect(bytesOf(text)).toBe(bytes));

it('reads metadata', () => {
  const header = `filename ${base64('Kanal – früh.mp4')},filetype ${base64('video/mp4')}, is_draft`;
  expect([...(metadataOf(header) ?? [])]).toEqual([
    ['filename', 'Kanal – früh.mp4'],
    ['filetype', 'video/mp4'],
    ['is_draft', ''],
  ]);
  expect(metadataOf(undefined)?.size).toBe(0);
});

it.each([
  'filename !!!',
  `filename ${base64('a')} more`,
  `a ${base64('x')},a ${base64('y')}`,
  `,a ${base64('x')}`,
  `a ${Buffer.from([0xff, 0xfe]).toString('base64')}`,
  `a ${'A'.repeat(20_000)}`,
  'a AA==',
])('refuses metadata: %.40s', (header) => expect(metadataOf(header)).toBeNull());

it('reads a checksum of the algorithms that it offers', () => {
  for (const algorithm of ['sha256', 'sha1', 'md5'] as const) {
    const digest = createHash(algorithm).update('bytes').digest();
    expect(checksumOf(`${algorithm} ${digest.toString('base64')}`)).toEqual({
      algorithm,
      digest: digest.toString('hex'),
    });
  }
  for (const wrong of ['crc32 AAAAAA==', 'sha256 AAAA', 'sha256', `sha1  ${base64('x'.repeat(20))}`, '']) {
    expect(checksumOf(wrong)).toBeNull();
  }
});
