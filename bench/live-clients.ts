// Many subscribers in one process of its own: no WebSocket library and one buffer for all, so that 10,000 fit beside two servers.
import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

export type LiveTask =
  | { do: 'open'; ports: readonly number[]; count: number; query: string; variables: object; comeBack: boolean }
  /** Resolves when each open client has heard of so many events in all, or after the time. */
  | { do: 'await'; events: number; seconds: number }
  /** Ends a share of the connections at once, as a network does, no more than so many; they come back within this time. */
  | { do: 'cut'; share: number; most?: number; withinMs: number }
  | { do: 'close' };

export interface LiveReport {
  open: number;
  /** Of each event that was awaited last, when its first and its last client heard of it (epoch ms), and a quantile of all. */
  first: number;
  last: number;
  p50: number;
  p99: number;
  /** Clients that lack one of the events, and events that lack in all. */
  lacking: number;
  lost: number;
  /** Told again after a break, as the client knows by their id. */
  repeats: number;
  reconnects: number;
  /** By this task. */
  cut: number;
  failures: string[];
}

const AT_ONCE = 200;
const MASKED = 0x80;

let port = 0;
let clients: Client[] = [];
let ports: readonly number[] = [];
let query = '';
let variables: object = {};
let comeBack = false;
let opening = 0;
/** By id, in the order in which any client heard of them. */
let order = new Map<string, number>();
let times: number[][] = [];
let reconnects = 0;
let withinMs = 0;
let repeats = 0;
const failures: string[] = [];

function frame(message: object): Buffer {
  const text = Buffer.from(JSON.stringify(message));
  const mask = randomBytes(4);
  const head = text.length < 126 ? Buffer.from([0x81, MASKED | text.length]) : Buffer.alloc(4);
  if (text.length >= 126) {
    head.writeUInt8(0x81, 0);
    head.writeUInt8(MASKED | 126, 1);
    head.writeUInt16BE(text.length, 2);
  }
  for (let at = 0; at < text.length; at++) text[at] = (text[at] as number) ^ (mask[at % 4] as number);
  return Buffer.concat([head, mask, text]);
}

const shared = Buffer.alloc(256 * 1024);
const KEY = randomBytes(16).toString('base64');

class Client {
  readonly heard = new Set<number>();
  private socket: Socket | null = null;
  private rest: Buffer | null = null;
  private isUpgraded = false;
  private cursor: string | null = null;
  private opened: () => void = () => undefined;
  isSubscribed = false;
  isClosed = false;

  constructor(private index: number) {}

  /** Resolves when it is told where its stream begins, or failed. */
  open(): Promise<void> {
    opening++;
    return new Promise((resolve) => {
      this.opened = () => {
        this.opened = () => undefined;
        opening--;
        resolve();
      };
      this.rest = null;
      this.isUpgraded = false;
      this.isSubscribed = false;
      const to = ports[this.index++ % ports.length] as number;
      const socket = connect({
        port: to,
        host: '127.0.0.1',
        onread: {
          buffer: shared,
          callback: (count) => {
            this.read(shared.subarray(0, count));
            return true;
          },
        },
      });
      this.socket = socket;
      socket.on('error', () => undefined);
      socket.on('close', () => this.closed());
      socket.write(
        `GET /graphql HTTP/1.1\r\nHost: 127.0.0.1:${to}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n` +
          `Sec-WebSocket-Key: ${KEY}\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n`,
      );
      socket.write(frame({ type: 'connection_init' }));
    });
  }

  cut(): void {
    this.socket?.resetAndDestroy();
  }

  end(): void {
    this.isClosed = true;
    this.socket?.destroy();
  }

  private closed(): void {
    this.opened();
    this.isSubscribed = false;
    if (this.isClosed || !comeBack) return;
    reconnects++;
    void pause(Math.random() * withinMs).then(() => (this.isClosed ? undefined : this.open()));
  }

  private read(bytes: Buffer): void {
    let data = this.rest ? Buffer.concat([this.rest, bytes]) : bytes;
    if (!this.isUpgraded) {
      const end = data.indexOf('\r\n\r\n');
      if (end === -1) {
        this.keep(data);
        return;
      }
      if (!data.subarray(0, end).toString('latin1').startsWith('HTTP/1.1 101')) {
        failures.push(data.subarray(0, 40).toString('latin1'));
        this.cut();
        return;
      }
      this.isUpgraded = true;
      data = data.subarray(end + 4);
    }
    while (data.length >= 2) {
      const short = (data[1] as number) & 0x7f;
      const from = short < 126 ? 2 : short === 126 ? 4 : 10;
      if (data.length < from) break;
      const length = short < 126 ? short : short === 126 ? data.readUInt16BE(2) : Number(data.readBigUInt64BE(2));
      if (data.length < from + length) break;
      this.take((data[0] as number) & 0x0f, data.subarray(from, from + length));
      data = data.subarray(from + length);
    }
    this.keep(data);
  }

  /** The buffer is everybody's. */
  private keep(data: Buffer): void {
    this.rest = data.length > 0 ? Buffer.from(data) : null;
  }

  private take(opcode: number, payload: Buffer): void {
    if (opcode === 9) this.socket?.write(Buffer.from([0x8a, MASKED, 0, 0, 0, 0]));
    else if (opcode === 8) this.cut();
    else this.told(payload.toString());
  }

  private told(text: string): void {
    const message = JSON.parse(text);
    if (message.type === 'connection_ack') {
      const withCursor = this.cursor ? { ...variables, after: this.cursor } : variables;
      this.socket?.write(frame({ id: '1', type: 'subscribe', payload: { query, variables: withCursor } }));
      // A stream that goes on from a cursor says nothing until something happens.
      if (this.cursor) this.begun();
    } else if (message.type === 'next' && message.payload?.data?.channelNotifications) {
      const event = message.payload.data.channelNotifications;
      this.cursor = event.cursor || null;
      if (event.id === null) this.begun();
      else this.hear(event.id);
    } else if (message.type === 'complete') this.cut();
    else if (message.type === 'next' || message.type === 'error') failures.push(text.slice(0, 200));
  }

  private begun(): void {
    this.isSubscribed = true;
    this.opened();
  }

  private hear(id: string): void {
    let number = order.get(id);
    if (number === undefined) {
      number = order.size;
      order.set(id, number);
      times.push([]);
    }
    if (this.heard.has(number)) repeats++;
    else times[number]?.push(Date.now());
    this.heard.add(number);
  }
}

function report(cut: number): LiveReport {
  const latest = (times.at(-1) ?? []).toSorted((a, b) => a - b);
  const at = (share: number) => latest[Math.min(latest.length - 1, Math.floor(latest.length * share))] ?? 0;
  const lacks = clients.map(({ heard }) => order.size - heard.size);
  return {
    open: clients.filter((client) => client.isSubscribed).length,
    first: at(0),
    last: at(1),
    p50: at(0.5),
    p99: at(0.99),
    lacking: lacks.filter((count) => count > 0).length,
    lost: lacks.reduce((sum, count) => sum + count, 0),
    repeats,
    reconnects,
    cut,
    failures: failures.splice(0).slice(0, 5),
  };
}

async function run(task: LiveTask): Promise<LiveReport> {
  if (task.do === 'open') {
    ({ ports, query, variables, comeBack } = task);
    order = new Map();
    times = [];
    reconnects = 0;
    repeats = 0;
    clients = Array.from({ length: task.count }, () => new Client(port++));
    const waiting = clients.values();
    const open = async () => {
      for (const client of waiting) await client.open();
    };
    await Promise.all(Array.from({ length: AT_ONCE }, open));
  } else if (task.do === 'await') {
    const until = Date.now() + task.seconds * 1000;
    const isDone = () => order.size >= task.events && clients.every(({ heard }) => heard.size >= task.events);
    while (Date.now() < until && !isDone()) await pause(20);
  } else if (task.do === 'cut') {
    withinMs = task.withinMs;
    const chosen = clients.filter(() => Math.random() < task.share).slice(0, task.most);
    for (const client of chosen) client.cut();
    return report(chosen.length);
  } else {
    for (const client of clients) client.end();
    while (opening > 0) await pause(20);
    clients = [];
  }
  return report(0);
}

process.on('message', (task: LiveTask) => {
  run(task).then(
    (result) => process.send?.({ result }),
    (error: Error) => process.send?.({ error: error.stack }),
  );
});
