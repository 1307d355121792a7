import { once } from 'node:events';
import http, { type IncomingHttpHeaders, type IncomingMessage } from 'node:http';

/** Requests to the append lane, down to the socket. */

export const BYTES = 'application/offset+octet-stream';

export interface Reply {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
}

export function open(method: string, url: string, headers: Record<string, string | number> = {}): http.ClientRequest {
  return http.request(url, { method, headers: { 'tus-resumable': '1.0.0', ...headers }, agent: false });
}
export async function replyTo(request: http.ClientRequest): Promise<Reply> {
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  let body = '';
  for await (const chunk of response) body += chunk;
  return { status: response.statusCode ?? 0, headers: response.headers, body };
}
export async function ask(
  method: string,
  url: string,
  headers: Record<string, string | number> = {},
  body: Buffer | string = '',
): Promise<Reply> {
  const request = open(method, url, headers);
  const reply = replyTo(request);
  request.end(body);
  return reply;
}
export const patch = (
  url: string,
  offset: number,
  body: Buffer,
  headers: Record<string, string> = {},
): Promise<Reply> =>
  ask(
    'PATCH',
    url,
    { 'content-type': BYTES, 'content-length': body.length, 'upload-offset': offset, ...headers },
    body,
  );
export const offsetAt = async (url: string): Promise<number> =>
  Number((await ask('HEAD', url)).headers['upload-offset']);
