/** How `sluice` ends: scripts may rely on these. */
export const EXIT = { done: 0, failed: 1, usage: 2, signedOut: 3, interrupted: 130, nobodyReads: 141 } as const;

/** What ends the command, with a sentence that says what to do. */
export class Problem extends Error {
  constructor(
    message: string,
    readonly exitCode: number = EXIT.failed,
    /** Of the API, where it is one. */
    readonly code: string | null = null,
  ) {
    super(message);
  }
}

/** The server does not answer: nothing was decided, and later it may. */
export class Away extends Problem {}

/** File names, and what others say, may hold anything, also what a terminal obeys. */
export const plain = (text: string): string => text.replace(/\p{Cc}/gu, '?');
