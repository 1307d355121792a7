import type { FfmpegCommand } from './ffmpeg-command.js';
import type { Packets } from './packets.js';
import type { Probe } from './probe.js';

/**
 * `bubblewrap`: a world of its own: no network, no other process, no file but the named ones, another user id.
 * `limits`: bounded in time, memory, output and processes, and (as root) another user id; ffmpeg's own lists keep it from the network and from other files.
 * `lists`: those lists and the watch on progress alone (macOS).
 */
export type SandboxLevel = 'bubblewrap' | 'limits' | 'lists';

/**
 * `now`: somebody waits for it, and it is short: ahead of the other runs. `soon`: so it is, but it has had to wait anyway:
 * ahead of those without haste, after those that have just come.
 */
export type Haste = 'now' | 'soon' | 'none';

export interface MediaJob {
  readonly command: FfmpegCommand;
  /** A directory of the job's own: ffmpeg's working directory, the only place that it can write to. */
  readonly workDir: string;
  /** Wall clock in milliseconds; CPU time is bounded to the same. */
  readonly timeoutMs: number;
  /** Without a new frame or second of sound for so long, the run is ended. */
  readonly stallMs?: number;
  /** Largest file that it may write. */
  readonly maxFileBytes?: number;
  readonly memoryBytes?: number;
  /** Where several want the same processor. */
  readonly haste?: Haste;
  onProgress?(progress: MediaProgress): void;
  readonly signal?: AbortSignal;
}

export interface MediaProgress {
  readonly frames: number;
  /** Output written, in milliseconds of its own time. */
  readonly outputMs: number;
}

/** Why a run gave nothing. `exit`: ffmpeg gave up by itself; `output`: it wrote more than anyone reads; `start`: it could not be started. */
export type MediaFailure = 'exit' | 'stalled' | 'timeout' | 'output' | 'aborted' | 'start';

/** What a shell or bubblewrap answers for a program that a signal ended: 128 and KILL, TERM, XCPU, XFSZ. */
const KILLED = new Set([137, 143, 152, 153]);

export class MediaRunError extends Error {
  constructor(
    readonly failure: MediaFailure,
    /** The end of what it said. */
    readonly log: string,
    readonly exitCode: number | null = null,
    /** The signal that ended it: SIGXCPU is the CPU limit, SIGXFSZ the file limit. */
    readonly exitSignal: string | null = null,
  ) {
    super(`the media program ended without a result: ${failure}${exitSignal ? ` (${exitSignal})` : ''}`);
  }

  /** The machine's fault, not the file's. */
  get isFullDisk(): boolean {
    return /No space left on device|Disk quota exceeded/.test(this.log);
  }

  /** It read the file, and could make nothing of it. Who is killed, perhaps for the memory that others took, has given up nothing. */
  get gaveUp(): boolean {
    const isKilled = this.exitSignal !== null || KILLED.has(this.exitCode ?? 0);
    return this.failure === 'exit' && !isKilled && !this.isFullDisk && !/Cannot allocate memory/.test(this.log);
  }
}

/** Everything that touches a stranger's media. One adapter: `FfmpegEngine`. */
export abstract class MediaEngine {
  /** Reads the header. A bad file gives a Probe that `verdict` refuses; only trouble of our own throws (MediaRunError, or the file cannot be read). */
  abstract probe(path: string, signal?: AbortSignal): Promise<Probe>;

  /** Goes through the packets of a file that has a picture, without decoding; of a large file through those of its end. `verdict` judges them, too. */
  abstract packets(path: string, probe: Probe, signal?: AbortSignal): Promise<Packets>;

  /**
   * One ffmpeg run.
   * @returns the end of its log, at level verbose. That it ended well proves nothing: see `checkPiece`.
   * @throws MediaRunError
   */
  abstract run(job: MediaJob): Promise<{ log: string }>;
}
