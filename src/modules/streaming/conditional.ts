/** Range and conditional requests (RFC 9110, 13 and 14) for something of a known size and a strong entity tag. */
export type Selection =
  | { readonly status: 200; readonly start: number; readonly end: number }
  | { readonly status: 206; readonly start: number; readonly end: number }
  | { readonly status: 304 }
  | { readonly status: 412 }
  | { readonly status: 416 };

interface RequestHeaders {
  readonly range?: string;
  readonly 'if-match'?: string;
  readonly 'if-none-match'?: string;
  readonly 'if-range'?: string;
}

/** What to answer, and with which bytes: half-open, start included and end not. Several ranges in one are answered whole. */
export function select(headers: RequestHeaders, etag: string, size: number): Selection {
  if (headers['if-match'] !== undefined && !matches(headers['if-match'], etag)) return { status: 412 };
  if (headers['if-none-match'] !== undefined && matches(weak(headers['if-none-match']), etag)) return { status: 304 };
  const whole = { status: 200, start: 0, end: size } as const;
  // If-Range wants the strong comparison; a date never matches, since none was given.
  if (headers['if-range'] !== undefined && headers['if-range'] !== etag) return whole;
  const [, first, last] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(headers.range?.replaceAll(' ', '') ?? '') ?? [];
  if (first === undefined || last === undefined || (first === '' && last === '')) return whole;
  if (first !== '' && last !== '' && Number(last) < Number(first)) return whole;
  const start = first === '' ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === '' || last === '' ? size : Math.min(size, Number(last) + 1);
  return start < end ? { status: 206, start, end } : { status: 416 };
}

function matches(list: string, etag: string): boolean {
  return list.split(',').some((entry) => entry.trim() === '*' || entry.trim() === etag);
}

function weak(list: string): string {
  return list.replaceAll('W/"', '"');
}
