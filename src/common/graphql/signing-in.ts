/** A longer text is read like any other, from the budget of all who are not signed in. */
const MOST = 1_000;
const SIGNS_IN =
  /^\s*mutation\b[^{]*\{\s*(?:\w+\s*:\s*)?(?:completeSetup|login|logout|refreshSession|register|requestPasswordReset|resetPassword)\b/;

/**
 * Whether an operation looks like one that signs in, seen before anything is read: by the first field of a short mutation.
 * Whoever writes others so gains no more than the budget that these have.
 */
export const signsIn = (text: unknown): boolean =>
  typeof text === 'string' && text.length <= MOST && SIGNS_IN.test(text);
