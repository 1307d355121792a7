import { isHopeless } from './file-type.js';

it.each([
  ['film.mp4', 'video/mp4'],
  ['film.MKV', null],
  ['film', null],
  ['film', ''],
  ['film', 'application/octet-stream'],
  ['film.bin', 'application/x-nobody-knows'],
  // A transport stream, as a system with a tool for translators calls it.
  ['film.ts', 'text/vnd.trolltech.linguist'],
  ['film.ts', 'application/typescript'],
  ['A talk, v1.2.doc', 'video/webm'],
  ['film.mp4', 'VIDEO/MP4; codecs="avc1.640028"'],
  ['film.mp4', 'text/plain'],
  ['sound.m4a', 'audio/mp4'],
  ['film.wmv', 'application/vnd.ms-asf'],
  ['film.gif.mov', null],
])('%s of type %s may be a video', (name, type) => expect(isHopeless(name, type)).toBe(false));

it.each([
  ['notes.txt', 'text/plain'],
  ['notes', 'text/plain;charset=utf-8'],
  ['page.html', null],
  ['photo.JPG', 'application/octet-stream'],
  ['photo', 'image/jpeg'],
  ['files.zip', 'application/zip'],
  ['files', 'application/vnd.openxmlformats-officedocument.wordprocessingml.document'],
  ['letter.pdf', ''],
  ['subtitles.srt', 'application/x-subrip'],
  // What points to other files is refused by what it is called, whatever its name says.
  ['film.mp4', 'application/vnd.apple.mpegurl'],
  ['film.mp4', 'audio/x-mpegurl'],
  ['film.m3u8', 'video/mp4'],
  ['film.mpd', null],
])('%s of type %s cannot be one', (name, type) => expect(isHopeless(name, type)).toBe(true));
