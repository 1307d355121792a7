import type { IncomingHttpHeaders } from 'node:http';
import { type Answer, ask, type Question } from './ask.js';

/** A page's request that a browser would ask about first. */
export interface PageRequest {
  readonly url: string;
  readonly method: string;
  /** Lower-case names of what is not safelisted. */
  readonly headers: readonly string[];
  readonly ca?: string;
}

/** What a browser would refuse a page of `origin`, by the answer to its preflight (Fetch standard, 4.8); null: nothing. */
export function preflightProblem(
  { method, headers }: PageRequest,
  origin: string,
  answer: Pick<Answer, 'status' | 'headers'>,
): string | null {
  if (answer.status < 200 || answer.status > 299) return `the preflight was answered with ${answer.status}`;
  const refused = originProblem(origin, answer.headers);
  if (refused) return refused;
  const listOf = (name: string) =>
    String(answer.headers[name] ?? '')
      .split(',')
      .map((item) => item.trim().toLowerCase());
  const methods = listOf('access-control-allow-methods');
  if (!methods.includes('*') && !methods.includes(method.toLowerCase())) return `${method} is not allowed`;
  const allowed = listOf('access-control-allow-headers');
  // The star never stands for this one.
  const lacking = headers.filter(
    (name) => !allowed.includes(name) && (name === 'authorization' || !allowed.includes('*')),
  );
  return lacking.length > 0 ? `the header ${lacking.join(', ')} is not allowed` : null;
}

export function originProblem(origin: string, headers: IncomingHttpHeaders): string | null {
  const given = headers['access-control-allow-origin'];
  if (given === '*' || given === origin) return null;
  return given === undefined ? 'Access-Control-Allow-Origin is missing' : `only ${given} is allowed`;
}

/** @returns what a browser would refuse pages of these origins; null: nothing */
export async function askAsPage(request: PageRequest, origins: readonly string[]): Promise<string | null> {
  for (const origin of origins) {
    const question: Question = {
      method: 'OPTIONS',
      headers: {
        origin,
        'access-control-request-method': request.method,
        ...(request.headers.length > 0 && { 'access-control-request-headers': [...request.headers].sort().join(',') }),
      },
      ...(request.ca !== undefined && { ca: request.ca }),
    };
    const problem = preflightProblem(request, origin, await ask(request.url, question));
    if (problem) return `For pages of ${origin}: ${problem}.`;
  }
  return null;
}

/** Whose pages talk to `url` across origins: those of PUBLIC_URL and of CORS_ORIGINS, but not the address's own. */
export function pageOrigins(
  config: { publicUrl: string; corsOrigins: '*' | readonly string[] },
  url: string,
): string[] {
  const others = config.corsOrigins === '*' ? ['https://app.example.org'] : config.corsOrigins;
  return [new URL(config.publicUrl).origin, ...others].filter((origin) => origin !== new URL(url).origin);
}
