/** One example of the README: an operation and its variables, in which `{{login.session.accessToken}}` stands for part of an earlier answer. */
export interface Example {
  /** The operation's name. */
  name: string;
  query: string;
  /** JSON with placeholders. */
  variables: string;
}

const BLOCKS = /^```graphql\n([\s\S]*?)^```(?:\s*^```json\n([\s\S]*?)^```)?/gm;

/** Every ```graphql block of a Markdown text, with the ```json block of variables that directly follows it, in order. */
export function examplesOf(markdown: string): Example[] {
  return [...markdown.matchAll(BLOCKS)].map(([, query = '', variables = '{}']) => ({
    name: /^\s*(?:query|mutation|subscription)\s+(\w+)/.exec(query)?.[1] ?? 'Unnamed',
    query: query.trim(),
    variables: variables.trim(),
  }));
}

/**
 * Puts values for placeholders. A string that is a placeholder alone takes the value whatever its type; inside of a longer
 * string it becomes text. A placeholder without a value stays as it is.
 */
export function fillIn(json: unknown, answers: Record<string, unknown>): unknown {
  if (typeof json === 'string') {
    const whole = /^\{\{([\w.]+)\}\}$/.exec(json)?.[1];
    if (whole) return lookUp(answers, whole) ?? json;
    return json.replace(/\{\{([\w.]+)\}\}/g, (asIs, path: string) => String(lookUp(answers, path) ?? asIs));
  }
  if (Array.isArray(json)) return json.map((item) => fillIn(item, answers));
  if (json === null || typeof json !== 'object') return json;
  return Object.fromEntries(Object.entries(json).map(([key, value]) => [key, fillIn(value, answers)]));
}

function lookUp(answers: unknown, path: string): unknown {
  return path
    .split('.')
    .reduce<unknown>((value, key) => (value as Record<string, unknown> | null | undefined)?.[key], answers);
}
