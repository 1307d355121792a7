const REMOVED = '[redacted]';

/**
 * What must never be in a log, by its form: the log takes lines from everywhere (libraries, error messages, URLs), so
 * the finished line is what is looked at. Repeats are bounded, or a long line of the wrong kind would take minutes.
 */
const FORMS: readonly [RegExp, string][] = [
  // Authorization and cookie headers, in JSON (also JSON within a JSON string) or in plain text.
  [/((?:authorization|cookie|set-cookie)\\?"?\s*[:=]\s*\\?"?)(?:[^"\\\r\n]|\\(?!["n]))+/gi, `$1${REMOVED}`],
  [/\b(Bearer|Basic)\s+[\w.~+/=-]{8,}/gi, `$1 ${REMOVED}`],
  // JSON Web Tokens.
  [/\beyJ[\w-]{8,}\.[\w-]{4,}\.[\w-]*/g, REMOVED],
  // The token in a playback path: /media/<expiry>.<key id>.<hmac>/…
  [/(\/media\/)[^/\s"\\]+/g, `$1${REMOVED}`],
  // Signatures and tokens in a query string.
  [
    /([?&](?:[\w-]{0,60}?(?:signature|token|credential|secret|password|key|sig)[\w-]{0,60})=)[^&\s"\\#]+/gi,
    `$1${REMOVED}`,
  ],
  // Properties named after secrets, in JSON and in JSON within a JSON string.
  [/("[\w-]*(?:password|secret|token|apikey|accesskey|signature)"\s*:\s*)"(?:[^"\\]|\\.)*"/gi, `$1"${REMOVED}"`],
  [
    /(\\"[\w-]*(?:password|secret|token|apikey|accesskey|signature)\\"\s*:\s*)\\"(?:[^"\\]|\\\\(?:\\\\|\\"|[^"\\]))*\\"/gi,
    `$1\\"${REMOVED}\\"`,
  ],
  // The password in a URL: postgres://user:password@host.
  [/(\b[a-z][a-z\d+.-]{0,30}:\/\/[^\s:/@"\\]*:)[^\s@/"\\]+@/gi, `$1${REMOVED}@`],
];

const SECRET_NAME = /password|secret|token|apikey|accesskey|signature|authorization|cookie|^variables$/i;

/** A copy without what is secret by its name, at any depth. */
export function withoutSecrets(value: unknown, depth = 0): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Date) return value;
  if (value instanceof Error) return describeError(value, depth);
  if (depth > 4) return REMOVED;
  if (Array.isArray(value)) return value.slice(0, 100).map((item) => withoutSecrets(item, depth + 1));
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [
      name,
      SECRET_NAME.test(name) ? REMOVED : withoutSecrets(item, depth + 1),
    ]),
  );
}

/** Without further properties: libraries put queries with their parameters there, and whole requests. */
function describeError(error: Error, depth: number): object {
  const { name, message, stack, cause } = error;
  const { code } = error as { code?: unknown };
  return {
    type: name,
    message,
    stack,
    ...(typeof code === 'string' && { code }),
    ...(cause instanceof Error && depth < 3 && { cause: describeError(cause, depth + 1) }),
  };
}

/** @param secrets values that are removed wherever they stand */
export function redact(line: string, secrets: readonly string[] = []): string {
  let text = line;
  for (const secret of secrets) if (text.includes(secret)) text = text.replaceAll(secret, REMOVED);
  for (const [form, replacement] of FORMS) text = text.replace(form, replacement);
  return text;
}
