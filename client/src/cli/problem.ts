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

/** The same for programs, with nothing lost: JSON itself escapes only what is below U+0020, and terminals obey U+009B, too. */
export const jsonLine = (value: object): string =>
  `${JSON.stringify(value).replace(/\p{Cc}/gu, (one) => `\\u00${one.charCodeAt(0).toString(16)}`)}\n`;
