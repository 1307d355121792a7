import { attachment } from './attachment.js';

describe('attachment', () => {
  it('names a file plainly where the name is plain', () => {
    expect(attachment('A walk along the canal.mp4')).toBe(
      `attachment; filename="A walk along the canal.mp4"; filename*=UTF-8''A%20walk%20along%20the%20canal.mp4`,
    );
  });

  it.each([
    ['accents', 'Café à Málaga.mp4', 'Cafe a Malaga.mp4', 'Caf%C3%A9%20%C3%A0%20M%C3%A1laga.mp4'],
    ['another script', '散歩 1.mp4', '_ 1.mp4', '%E6%95%A3%E6%AD%A9%201.mp4'],
    ['a header of its own', 'a"\r\nset-cookie: x.mp4', 'a set-cookie x.mp4', 'a%20set-cookie%20x.mp4'],
    ['a path', '../../etc/passwd.mp4', 'etc passwd.mp4', 'etc%20passwd.mp4'],
    ['a backslash', '\\\\host\\share.mp4', 'host share.mp4', 'host%20share.mp4'],
    ['a direction turned round', '\u202egpj.exe.mp4', 'gpj.exe.mp4', 'gpj.exe.mp4'],
    ['nothing', '.mp4', 'video.mp4', 'video.mp4'],
    ['marks alone', '...???.mp4', 'video.mp4', 'video.mp4'],
    ['half a character', 'a\ud83d.mp4', 'a_.mp4', 'a%EF%BF%BD.mp4'],
    ['what RFC 8187 does not let stand', "it's (1)*.mp4", "it's (1).mp4", 'it%27s%20%281%29.mp4'],
  ])('takes %s', (_, title, ascii, extended) => {
    expect(attachment(title)).toBe(`attachment; filename="${ascii}"; filename*=UTF-8''${extended}`);
  });

  it('is bounded, and cuts no character in two', () => {
    const header = attachment(`${'🎬'.repeat(500)}.mp4`);
    expect(decodeURIComponent(header.split("''")[1] ?? '')).toBe(`${'🎬'.repeat(120)}.mp4`);
  });
});
