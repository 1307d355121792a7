/* Early refusals are a courtesy: they spare somebody a night of sending. What a file is, its bytes decide. Pure. */

const PLAYLISTS = /^(?:audio|application)\/(?:(?:x-|vnd\.apple\.)?mpegurl|dash\+xml|sdp|vnd\.ms-sstr\+xml)$/;
const FILMS = /^(?:video|audio)\//;
const OTHERS =
  /^(?:(?:text|image|font|model|message|multipart|chemical)\/|application\/(?:pdf|zip|gzip|json|ld\+json|xml|xhtml\+xml|rtf|javascript|x-javascript|typescript|sql|wasm|msword|epub\+zip|java-archive|x-(?:7z-compressed|bzip2?|tar|gzip|rar-compressed|sh|iso9660-image|msdownload|shockwave-flash|font-\w+)|vnd\.(?:rar|ms-(?!asf)\S+|openxmlformats-\S+|oasis\.opendocument\.\S+|android\.package-archive|debian\.binary-package))$)/;

const FILM_NAMES =
  /\.(?:mp4|m4v|m4a|mov|qt|3gp|3g2|mj2|mkv|mka|webm|avi|divx|mpe?g|m2v|vob|ts|m2ts|mts|flv|f4v|wmv|asf|ogv|ogg|mxf|dv)$/i;
const OTHER_NAMES =
  /\.(?:m3u8?|mpd|sdp|pls|txt|md|csv|log|srt|vtt|ass|html?|xml|json|ya?ml|jsx?|css|php|py|sh|bat|exe|msi|dll|apk|deb|rpm|dmg|iso|jar|wasm|zip|gz|bz2|xz|7z|rar|tar|tgz|pdf|docx?|xlsx?|pptx?|od[tsp]|rtf|epub|jpe?g|png|gif|webp|avif|heic|bmp|tiff?|svg|ico|psd|ttf|otf|woff2?|sql|db)$/i;

/**
 * Whether what a client says of its file leaves no hope that it is a video. One sign that it may be one is enough: people
 * have `.ts` files that their system calls `text/…`, and titles that end in `v1.2.doc`. Types and names that nobody knows
 * pass, and so does `application/octet-stream`.
 *
 * @param contentType a media type, parameters and all
 */
export function isHopeless(fileName: string, contentType: string | null): boolean {
  const type = (contentType ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
  const name = fileName.trim();
  if (PLAYLISTS.test(type)) return true;
  if (FILMS.test(type)) return /\.(?:m3u8?|mpd|sdp|pls)$/i.test(name);
  if (FILM_NAMES.test(name)) return false;
  return OTHERS.test(type) || OTHER_NAMES.test(name);
}
