import http, { type IncomingHttpHeaders } from 'node:http';
import https from 'node:https';

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface Question {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer;
  /** Content-Length, where less of the body is sent than is promised: then the head of the answer is all that is awaited. */
  readonly promisedBytes?: number;
  /** With `Expect: 100-continue`, status 100 may be the answer. */
  readonly ca?: string;
  readonly ms?: number;
}

const MOST_BYTES = 64 * 1024;

export class NoAnswer extends Error {}

/**
 * One HTTP request on a connection of its own, followed nowhere; `fetch` can neither promise more than it sends nor see
 * an answer before the body is out.
 * @throws NoAnswer after `ms`, or what the connection failed with
 */
export function ask(url: string, question: Question = {}): Promise<Answer> {
  const { method = 'GET', headers = {}, body, promisedBytes, ca, ms = 8_000 } = question;
  const size = promisedBytes ?? body?.length;
  const whole = promisedBytes === undefined;
  return new Promise((resolve, reject) => {
    const request = (url.startsWith('https:') ? https : http).request(url, {
      method,
      headers: { ...headers, ...(size !== undefined && { 'content-length': String(size) }) },
      agent: false,
      ...(ca !== undefined && { ca }),
    });
    const timer = setTimeout(() => end(() => reject(new NoAnswer(`There was no answer within ${ms / 1000} s.`))), ms);
    const end = (settle: () => void) => {
      clearTimeout(timer);
      settle();
      if (!request.destroyed) request.destroy();
    };
    request.on('error', (error) => end(() => reject(error)));
    request.on('continue', () => end(() => resolve({ status: 100, headers: {}, body: '' })));
    request.on('response', (response) => {
      const { statusCode: status = 0, headers } = response;
      if (!whole) return end(() => resolve({ status, headers, body: '' }));
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        if (text.length < MOST_BYTES) text += chunk;
      });
      response.on('error', (error) => end(() => reject(error)));
      response.on('end', () => end(() => resolve({ status, headers, body: text })));
    });
    if (whole) request.end(body);
    else if (body) request.write(body);
    else request.flushHeaders();
  });
}
