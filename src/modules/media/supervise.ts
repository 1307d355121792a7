import type { ChildProcess } from 'node:child_process';
import { type MediaFailure, type MediaProgress, MediaRunError } from './media-engine.js';

export interface SupervisorOptions {
  readonly timeoutMs: number;
  /** Given: it reports its progress (`-progress pipe:1`), and is ended when there is none for so long. */
  readonly stallMs?: number;
  readonly signal?: AbortSignal;
  onProgress?(progress: MediaProgress): void;
}

const LOG_TAIL = 64 * 1024;
/** A file can make a decoder complain without end. */
const MAX_OUTPUT = 64 * 1024 * 1024;
const GRACE_MS = 2000;
/** The complaint of a program that stands before ffmpeg in the sandbox. ffmpeg's own lines never look so. */
const LAUNCHER = /^(\S*\/)?(bwrap|prlimit|setpriv|nice|env): /m;

/** Watches one running ffmpeg or ffprobe: ends it when it must end, and remembers why, since a killed program looks like a failed one. */
export class Supervisor {
  /** Why we ended it, or that it never began; null: neither. */
  failure: Exclude<MediaFailure, 'exit'> | null = null;
  exit: { readonly code: number | null; readonly signal: string | null } | null = null;
  /** Settles when the program has ended and all that it said is read. */
  readonly closed: Promise<void>;
  private tail = '';
  private written = 0;
  private killer: NodeJS.Timeout | undefined;
  private readonly deadline: NodeJS.Timeout;
  private readonly stall: NodeJS.Timeout | undefined;
  private readonly abort = () => this.end('aborted');

  constructor(
    private readonly child: ChildProcess,
    private readonly options: SupervisorOptions,
  ) {
    const { timeoutMs, stallMs, signal } = options;
    this.deadline = setTimeout(() => this.end('timeout'), timeoutMs);
    if (stallMs) {
      this.stall = setTimeout(() => this.end('stalled'), stallMs);
      this.followProgress();
    }
    child.stderr?.setEncoding('utf8').on('data', (data: string) => this.keep(data));
    this.closed = new Promise((resolve) => {
      child.once('error', (error) => {
        this.failure ??= 'start';
        this.keep(error.message);
        resolve(this.finish({ code: null, signal: null }));
      });
      child.once('close', (code, exitSignal) => resolve(this.finish({ code, signal: exitSignal })));
    });
    signal?.addEventListener('abort', this.abort, { once: true });
    if (signal?.aborted) this.abort();
  }

  /** Throws when the program gave no result: it was ended, or could not be started, or gave up. */
  check(): void {
    const { code = null, signal = null } = this.exit ?? {};
    const failure = this.failure ?? (code === 0 ? null : LAUNCHER.test(this.log) ? 'start' : 'exit');
    if (failure) throw new MediaRunError(failure, this.log, code, signal);
  }

  get log(): string {
    return this.tail.slice(-LOG_TAIL);
  }

  /** Lines `key=value` on stdout, a block each second. */
  private followProgress(): void {
    let [rest, frames, outputMs] = ['', 0, 0];
    this.child.stdout?.on('data', (data: Buffer) => {
      const lines = (rest + data.toString('latin1')).split('\n');
      rest = (lines.pop() ?? '').slice(-200);
      const before = frames + outputMs;
      for (const line of lines) {
        const [key, value] = line.split('=');
        if (key === 'frame') frames = Number(value) || frames;
        if (key === 'out_time_us') outputMs = Math.round((Number(value) || 0) / 1000) || outputMs;
      }
      if (frames + outputMs === before) return;
      this.stall?.refresh();
      this.options.onProgress?.({ frames, outputMs });
    });
  }

  end(failure: NonNullable<Supervisor['failure']>): void {
    if (this.failure || this.exit) return;
    this.failure = failure;
    this.child.kill('SIGTERM');
    this.killer = setTimeout(() => this.child.kill('SIGKILL'), GRACE_MS);
  }

  private keep(text: string): void {
    this.written += text.length;
    this.tail += text;
    if (this.tail.length > 2 * LOG_TAIL) this.tail = this.tail.slice(-LOG_TAIL);
    if (this.written > MAX_OUTPUT) this.end('output');
  }

  private finish(exit: NonNullable<Supervisor['exit']>): void {
    this.exit ??= exit;
    for (const timer of [this.deadline, this.stall, this.killer]) clearTimeout(timer);
    this.options.signal?.removeEventListener('abort', this.abort);
  }
}
