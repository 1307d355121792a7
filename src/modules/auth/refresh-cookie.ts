const NAME = 'sluice_refresh';

/** The refresh token in a request's Cookie header (RFC 6265, 5.4); null when it has none. */
export function readRefreshCookie(header: string | undefined): string | null {
  for (const pair of header?.split(';') ?? []) {
    const [name, value] = pair.trim().split('=');
    if (name === NAME && value) return value;
  }
  return null;
}

/**
 * A Set-Cookie header that no script can read, that no other site's request carries, and that goes to the API alone.
 * @param token base64url; null takes the cookie away
 * @param publicUrl decides about Secure: browsers drop such cookies on plain http
 */
export function refreshCookie(token: string | null, publicUrl: string, maxAgeSeconds: number): string {
  const secure = publicUrl.startsWith('https:') ? '; Secure' : '';
  const maxAge = token === null ? 0 : maxAgeSeconds;
  return `${NAME}=${token ?? ''}; Max-Age=${maxAge}; Path=/graphql; HttpOnly; SameSite=Strict${secure}`;
}
