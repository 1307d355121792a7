import { connect, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

const CONNECTIONS = 64;
/** Asked on one connection before the first answer. */
const AHEAD = 16;
const AGAIN_MS = 100;

/**
 * Viewers `from` to `to`, each from an address of its own, of one of the videos in turn. Whoever gets no 204 says it again, to the address
 * that the server has by then: as players do.
 */
export class Burst {
  private readonly waiting: number[] = [];
  private next: number;
  /** Answered with 204. */
  taken = 0;
  /** Said another time, since the connection broke or the answer was another one. */
  again = 0;

  constructor(
    /** Of the server that runs now; null while there is none. */
    private readonly url: () => string | null,
    private readonly videos: readonly string[],
    from: number,
    private readonly to: number,
  ) {
    this.next = from;
    this.total = to - from;
  }

  readonly total: number;

  async run(): Promise<void> {
    await Promise.all(Array.from({ length: CONNECTIONS }, () => this.client()));
  }

  private async client(): Promise<void> {
    while (this.taken < this.total) {
      const url = this.url();
      if (!url || !(await this.connection(new URL(url)))) await pause(AGAIN_MS);
    }
  }

  /** Until it breaks, or all is taken. @returns whether anything was answered */
  private connection({ hostname, port }: URL): Promise<boolean> {
    return new Promise((resolve) => {
      const asked: number[] = [];
      let answered = 0;
      let rest = '';
      const socket = connect(Number(port), hostname);
      const fill = () => {
        if (this.taken >= this.total) return void socket.end();
        let text = '';
        while (asked.length < AHEAD) {
          const viewer = this.waiting.pop() ?? (this.next < this.to ? this.next++ : undefined);
          if (viewer === undefined) break;
          asked.push(viewer);
          text += this.request(viewer);
        }
        if (text) socket.write(text);
        // What others lose may still come to this one.
        else if (asked.length === 0) setTimeout(() => !socket.destroyed && fill(), AGAIN_MS);
      };
      socket.setNoDelay(true).setEncoding('latin1');
      socket.on('connect', fill);
      socket.on('data', (data: string) => {
        rest += data;
        for (let end = rest.indexOf('\r\n\r\n'); end !== -1; end = rest.indexOf('\r\n\r\n')) {
          const head = rest.slice(0, end);
          const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
          if (rest.length < end + 4 + length) break;
          rest = rest.slice(end + 4 + length);
          const viewer = asked.shift() as number;
          answered++;
          if (head.startsWith('HTTP/1.1 204')) this.taken++;
          else this.lose([viewer]);
        }
        fill();
      });
      socket.on('error', () => undefined);
      socket.on('close', () => {
        this.lose(asked);
        resolve(answered > 0);
      });
      closeWith(socket, () => this.taken >= this.total);
    });
  }

  private lose(viewers: readonly number[]): void {
    this.again += viewers.length;
    this.waiting.push(...viewers);
  }

  private request(viewer: number): string {
    const address = `10.${viewer >> 16}.${(viewer >> 8) & 255}.${viewer & 255}`;
    const video = this.videos[viewer % this.videos.length];
    return `POST /views/${video} HTTP/1.1\r\nhost: bench\r\nx-forwarded-for: ${address}\r\nuser-agent: Burst\r\ncontent-length: 0\r\n\r\n`;
  }
}

/** A connection on which nothing is asked any more learns of the end by looking. */
function closeWith(socket: Socket, isOver: () => boolean): void {
  const look = setInterval(() => isOver() && socket.end(), AGAIN_MS);
  socket.on('close', () => clearInterval(look));
}
