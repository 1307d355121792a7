import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { WebSocket } from 'ws';
import { type HostileDocument, hostileDocuments } from '../test/support/hostile-documents.js';
import { cpuSecondsSince, cpuTimes } from './cpu.js';
import type { Place } from './place.js';
import { median, shuffled, table } from './report.js';

const root = fileURLToPath(new URL('../', import.meta.url));
const GOAL_MS = 100;
/** What has no limits is ended after so long, or with so much memory. */
const PATIENCE_MS = 10_000;
const MOST_MEMORY_MB = 2_048;
const TRANSPORTS = ['HTTP', 'WebSocket', 'SSE'] as const;
type Transport = (typeof TRANSPORTS)[number];

interface Refused {
  kind: string;
  name: string;
  refusal: string;
  /** Milliseconds of the server's processor time, each round. */
  cpu: Record<Transport, number[]>;
  /** Milliseconds without limits; null: it was ended. `bytes` of the answer. */
  without: { ms: number | null; bytes: number };
}
export interface HostileMeasured {
  documents: Refused[];
}

/** What it costs the server to refuse, and what it would cost not to. */
export async function measureHostile(
  place: Place,
  { rounds, only }: { rounds: number; only?: string | undefined },
): Promise<HostileMeasured> {
  const server = await place.start('dist/main.js', '/readyz', { ROLE: 'api', LOG_LEVEL: 'info' });
  const peer = new Unlimited(place);
  const chosen = hostileDocuments.filter(({ kind, name }) => !only || `${kind} ${name}`.includes(only));
  const measured = new Map<HostileDocument, Refused>();
  for (const document of chosen) {
    const cpu = { HTTP: [], WebSocket: [], SSE: [] };
    const { kind, name } = document;
    measured.set(document, { kind, name, refusal: '', cpu, without: { ms: null, bytes: 0 } });
  }
  // Round 0 warms up.
  for (let round = 0; round <= rounds; round++) {
    for (const document of shuffled(chosen)) {
      const of = measured.get(document) as Refused;
      for (const transport of shuffled(TRANSPORTS)) {
        const send = await sender(server.url, transport);
        const before = cpuTimes([server.pid]);
        of.refusal = await send(JSON.stringify(document.body));
        // What is left to do when the answer is out: its line in the log, for one.
        await pause(2);
        if (round > 0) of.cpu[transport].push(cpuSecondsSince(before) * 1_000);
      }
    }
  }
  for (const [document, of] of measured) of.without = await peer.run(JSON.stringify(document.body));
  return { documents: [...measured.values()] };
}

/** Sends one request, and tells how it was refused. What belongs to opening a socket is done before. */
async function sender(url: string, transport: Transport): Promise<(body: string) => Promise<string>> {
  if (transport !== 'WebSocket') return (body) => post(url, transport, body);
  const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
  await once(socket, 'open');
  socket.send('{"type":"connection_init"}');
  await once(socket, 'message');
  return async (body) => {
    socket.send(`{"id":"1","type":"subscribe","payload":${body}}`);
    const refusal = await Promise.race([
      once(socket, 'message').then(([text]) => codeIn(String(text))),
      once(socket, 'close').then(([code]) => `closed ${code}`),
    ]);
    socket.terminate();
    return refusal;
  };
}

async function post(url: string, transport: Transport, body: string): Promise<string> {
  const [path, accept] =
    transport === 'SSE' ? ['/graphql/stream', 'text/event-stream'] : ['/graphql', 'application/json'];
  const headers = { 'content-type': 'application/json', accept };
  const response = await fetch(`${url}${path}`, { method: 'POST', headers, body });
  const text = await response.text();
  return text.includes('"code"') ? codeIn(text) : String(response.status);
}

function codeIn(text: string): string {
  const [, code] = /"code":"(\w+)"/.exec(text) ?? [];
  if (!code || /"data":\s*\{/.test(text)) throw new Error(`This was not refused: ${text.slice(0, 300)}`);
  return code;
}

/** The peer, begun anew where it had to be ended. */
class Unlimited {
  private child: ChildProcess | null = null;

  constructor(place: Place) {
    place.onClose(async () => this.child?.kill('SIGKILL'));
  }

  async run(body: string): Promise<Refused['without']> {
    const child = this.child ?? (await this.start());
    this.child = child;
    const over = new AbortController();
    child.send(body);
    const ended = await Promise.race([
      once(child, 'message', { signal: over.signal }).then(([result]) => result as Refused['without']),
      once(child, 'exit', { signal: over.signal }).then(() => null),
      pause(PATIENCE_MS, null, { signal: over.signal }),
    ]);
    over.abort();
    if (ended) return ended;
    child.kill('SIGKILL');
    this.child = null;
    return { ms: null, bytes: 0 };
  }

  private async start(): Promise<ChildProcess> {
    const execArgv = [`--max-old-space-size=${MOST_MEMORY_MB}`, '--import', `${root}bench/typescript.mjs`];
    const child = fork(`${root}bench/peers/unlimited.ts`, { execArgv, stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
    await once(child, 'message');
    return child;
  }
}

export function hostileTable({ documents }: HostileMeasured): string {
  const rows = documents.map(({ kind, name, refusal, cpu, without }) => [
    ...[kind, name, refusal],
    ...TRANSPORTS.map((transport) => median(cpu[transport]).toFixed(1)),
    without.ms === null ? `ended at ${PATIENCE_MS / 1_000} s or ${MOST_MEMORY_MB / 1_024} GB` : without.ms.toFixed(1),
    without.ms === null ? '' : (without.bytes / 1_024).toFixed(0),
  ]);
  const all = documents.flatMap(({ cpu }) => TRANSPORTS.map((transport) => median(cpu[transport])));
  const worst = Math.max(...all);
  const head = ['kind', 'document', 'refused with', ...TRANSPORTS.map((name) => `${name}, CPU ms`)];
  return [
    table([...head, 'without limits, CPU ms', 'its answer, KB'], rows),
    '',
    `${documents.length} documents, ${all.length} medians: ${median(all).toFixed(1)} ms in the middle, ${worst.toFixed(1)} ms at most; the goal of ${GOAL_MS} ms is ${worst <= GOAL_MS ? 'met' : 'MISSED'}.`,
  ].join('\n');
}
