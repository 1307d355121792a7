/** What some system would not take in a file's name; and the quotes, so that nothing here needs another escape. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is not wanted
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff"<>:/\\|?*%;]/g;
const LONGEST = 120;
const DEFAULT = 'video';

/**
 * Content-Disposition for a file to be saved (RFC 6266), with its name in UTF-8 (RFC 8187) and once more for those who do
 * not read that.
 *
 * @param fileName of any text, with its ending
 */
export function attachment(fileName: string): string {
  const dot = fileName.lastIndexOf('.');
  const [base, ending] = [fileName.slice(0, dot), fileName.slice(dot)];
  // Half of a character outside the basic plane would be no UTF-8.
  const name = [
    ...base
      .replace(/\p{Cs}/gu, '\ufffd')
      .replace(UNSAFE, ' ')
      .replace(/\s+/g, ' ')
      .replace(/^[ .]+/, ''),
  ]
    .slice(0, LONGEST)
    .join('');
  const safe = name.replace(/[ .]+$/, '') || DEFAULT;
  const ascii = safe
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .replace(/[^ -~]+/g, '_');
  return `attachment; filename="${ascii}${ending}"; filename*=UTF-8''${encoded(safe + ending)}`;
}

/** attr-char of RFC 8187 is less than what encodeURIComponent leaves. */
function encoded(text: string): string {
  return encodeURIComponent(text).replace(/['()*]/g, (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`);
}
