const REMOVED = '[redacted]';

/**
 * What must never be in a log, by its form: the log takes lines from everywhere (libraries, error messages, URLs), so
 * the finished line is what is looked at.
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
  [/([?&](?:[\w-]*(?:signature|token|credential|secret|password|key|sig)[\w-]*)=)[^&\s"\\#]+/gi, `$1${REMOVED}`],
  // Properties that hold secrets by their name.
  [
    /("(?:[\w-]*(?:password|secret|token|apiKey|accessKey|signature)|variables)\\?"\s*:\s*)(?:\\?"(?:[^"\\]|\\(?!")(?:.)|\\\\.)*\\?"|\{[^{}]*\}|\[[^[\]]*\])/gi,
    `$1"${REMOVED}"`,
  ],
  // The password in a URL: postgres://user:password@host.
  [/(\b[a-z][a-z\d+.-]*:\/\/[^\s:/@"\\]*:)[^\s@/"\\]+@/gi, `$1${REMOVED}@`],
];

/** @param secrets values that are removed wherever they stand */
export function redact(line: string, secrets: readonly string[] = []): string {
  let text = line;
  for (const secret of secrets) if (text.includes(secret)) text = text.replaceAll(secret, REMOVED);
  for (const [form, replacement] of FORMS) text = text.replace(form, replacement);
  return text;
}
