// The load, in a process of its own, so that it is no part of what is measured.
import { Agent, request } from 'node:http';
import pg from 'pg';

export interface Load {
  /** One request each; connection `i` of the load sends `i`, `i + connections`, … in turn. */
  requests: readonly { url: string; body?: string }[];
  headers: Record<string, string>;
  connections: number;
  /** Ends with the requests that are under way after so long. */
  seconds: number;
  /** Or when each was sent once. */
  once?: boolean;
  /** Run before each request and outside of its time, to bring its rows back to where they were: `$1` as given per request. */
  reset?: { databaseUrl: string; sql: readonly string[]; parameters: readonly string[] };
}

export interface LoadResult {
  requests: number;
  bytes: number;
  /** Answers that were not 200. */
  failures: number;
  /** Milliseconds from sending to the last byte, in the order of their ends. */
  latencies: number[];
  /** The last answer to the first request, where it is text. */
  answer: string;
}

async function run({ requests, headers, connections, seconds, once, reset }: Load): Promise<LoadResult> {
  const agent = new Agent({ keepAlive: true, maxSockets: connections, scheduling: 'fifo' });
  const result: LoadResult = { requests: 0, bytes: 0, failures: 0, latencies: [], answer: '' };
  const pool = reset && new pg.Pool({ connectionString: reset.databaseUrl, max: connections });
  const ends = performance.now() + seconds * 1000;

  const send = (index: number) =>
    new Promise<void>((resolve, reject) => {
      const { url, body } = requests[index] as Load['requests'][number];
      const began = performance.now();
      const sent = request(url, { agent, method: body ? 'POST' : 'GET', headers }, (response) => {
        const text: Buffer[] = [];
        const isText = index === 0 && String(response.headers['content-type']).includes('json');
        if (response.statusCode !== 200) result.failures++;
        response.on('data', (bytes: Buffer) => {
          result.bytes += bytes.length;
          if (isText) text.push(bytes);
        });
        response.on('error', reject);
        response.on('end', () => {
          result.requests++;
          result.latencies.push(performance.now() - began);
          if (isText) result.answer = Buffer.concat(text).toString();
          resolve();
        });
      });
      sent.on('error', reject);
      sent.end(body);
    });
  const connection = async (first: number) => {
    let sent = 0;
    for (let index = first; performance.now() < ends; index = (index + connections) % requests.length) {
      if (once && sent++ * connections + first >= requests.length) return;
      for (const sql of reset?.sql ?? []) await pool?.query(sql, [reset?.parameters[index]]);
      await send(index);
    }
  };
  try {
    await Promise.all(Array.from({ length: connections }, (_, first) => connection(first % requests.length)));
  } finally {
    agent.destroy();
    await pool?.end();
  }
  return result;
}

process.on('message', (load: Load) => {
  run(load).then(
    (result) => process.send?.({ result }),
    (error: Error) => process.send?.({ error: error.stack }),
  );
});
