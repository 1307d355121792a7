/** What browsers and Node do each in their own way. */
export interface Platform {
  /** @throws UploadError FILE_UNREADABLE */
  open(source: unknown): Promise<Source>;
  send(request: Outgoing): Sending;
  /** That may be open to one host; further requests wait for a place. */
  readonly sockets: number;
  /**
   * Whether it may send a body once more by itself, since the connection to there had served another request when it was cut.
   * Answers of the append lane close theirs for such platforms, so that one has to be there before the first body leaves.
   */
  repeats(url: string): boolean;
  /**
   * Tries whether a connection opens, where a request that is given up would leave its attempt behind: a browser makes six
   * of those, and then none anew. @returns how to give it up
   */
  knock?(tusUrl: string, onOpen: () => void): () => void;
  /** Connections that wait to be used again may be dead: new requests get new ones, where that can be chosen. */
  forget(): void;
  /** Tells the page's or the program's author of an error that nobody catches. */
  report(error: unknown): void;
  /** Calls back when the machine says that it is online again. @returns how to stop that */
  onOnline(listener: () => void): () => void;
}

export interface Source {
  readonly size: number;
  readonly name: string;
  /** A media type, or ''. */
  readonly type: string;
  /** @throws UploadError FILE_UNREADABLE, FILE_CHANGED */
  read(start: number, end: number): Promise<Uint8Array<ArrayBuffer>>;
  /** In browsers, which send it themselves. */
  blob?(start: number, end: number): Blob;
  /** SHA-256 in lower-case hexadecimal, worked out beside what else goes on. */
  digest(start: number, end: number): Promise<string>;
  /** A timer that keeps its time, in a tab that nobody sees too. @returns how to stop it */
  every(ms: number, tick: () => void): () => void;
  /** @throws UploadError when it is not what it was when it was opened */
  check(): Promise<void>;
  close(): Promise<void>;
}

export function every(ms: number, tick: () => void): () => void {
  const timer = setInterval(tick, ms);
  return () => clearInterval(timer);
}

export interface Outgoing {
  readonly method: string;
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | { readonly source: Source; readonly start: number; readonly end: number };
  /** A connection is there. */
  onOpen?(): void;
  /** So many bytes of the body may have left this process; those behind them have not for sure. */
  onHanded?(bytes: number): void;
}

export interface Answer {
  readonly status: number;
  header(name: string): string | null;
  readonly body: string;
}

export interface Sending {
  /** Rejects with ConnectionLost, or with the UploadError of reading the source. */
  readonly answer: Promise<Answer>;
  abort(): void;
}
