import { GraphQLError, GraphQLScalarType, Kind, type ValueNode } from 'graphql';

const bad = (name: string, expected: string) =>
  new GraphQLError(`${name} must be ${expected}.`, { extensions: { code: 'BAD_USER_INPUT' } });

/** A scalar that travels as a JSON string. The refused value is never repeated: it could be anything. */
function textScalar<Internal>(config: {
  name: string;
  description: string;
  expected: string;
  parse: (text: string) => Internal | null;
  serialize?: (value: unknown) => string | null;
}): GraphQLScalarType<Internal, string> {
  const parse = (value: unknown): Internal => {
    const parsed = typeof value === 'string' ? config.parse(value) : null;
    if (parsed === null) throw bad(config.name, config.expected);
    return parsed;
  };
  return new GraphQLScalarType<Internal, string>({
    name: config.name,
    description: config.description,
    parseValue: parse,
    parseLiteral: (node: ValueNode) => parse(node.kind === Kind.STRING ? node.value : null),
    serialize: (value) => {
      const text = config.serialize ? config.serialize(value) : value;
      if (typeof text !== 'string') throw new TypeError(`${config.name} cannot represent a ${typeof value}`);
      return text;
    },
  });
}

const RFC_3339 =
  /^\d{4}-(0[1-9]|1[0-2])-(\d\d)T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$/i;

export const GraphQLDateTime = textScalar<Date>({
  name: 'DateTime',
  description: 'A moment, RFC 3339. Answers are in UTC with milliseconds: `2026-11-21T10:15:30.000Z`.',
  expected: 'a moment after RFC 3339, such as "2026-11-21T10:15:30Z"',
  parse: (text) => {
    const day = Number(RFC_3339.exec(text)?.[2]);
    const lastDay = new Date(Date.UTC(Number(text.slice(0, 4)), Number(text.slice(5, 7)), 0)).getUTCDate();
    return day >= 1 && day <= lastDay ? new Date(text) : null;
  },
  serialize: (value) => {
    const date = typeof value === 'string' ? new Date(value) : value;
    return date instanceof Date && !Number.isNaN(date.getTime()) ? date.toISOString() : null;
  },
});

export const GraphQLSha256 = textScalar<string>({
  name: 'Sha256',
  description: 'A SHA-256 digest: 64 lower-case hexadecimal digits.',
  expected: '64 lower-case hexadecimal digits',
  parse: (text) => (/^[0-9a-f]{64}$/.test(text) ? text : null),
});

export const GraphQLUrl = textScalar<string>({
  name: 'URL',
  description: 'An absolute http or https address.',
  expected: 'an absolute http or https address',
  parse: (text) => (text.length <= 2048 && /^https?:\/\//i.test(text) && URL.canParse(text) ? text : null),
});

export const GraphQLCursor = textScalar<string>({
  name: 'Cursor',
  description: 'A place in a list. Opaque: pass it back as it is.',
  expected: 'a cursor from an earlier page',
  // That of an event stream names the transactions that were open.
  parse: (text) => (/^[\w-]{1,8000}$/.test(text) ? text : null),
});

/** A scalar of whole numbers that travels as a JSON number, also above GraphQL's Int. */
function wholeScalar(name: string, description: string, expected: string): GraphQLScalarType<number, number> {
  const isWhole = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
  return new GraphQLScalarType<number, number>({
    name,
    description,
    parseValue: (value) => {
      if (!isWhole(value)) throw bad(name, expected);
      return value;
    },
    parseLiteral: (node) => {
      const value = node.kind === Kind.INT ? Number(node.value) : Number.NaN;
      if (!isWhole(value)) throw bad(name, expected);
      return value;
    },
    serialize: (value) => {
      // PostgreSQL's bigint arrives as text.
      const whole = typeof value === 'string' || typeof value === 'bigint' ? Number(value) : value;
      if (!isWhole(whole)) throw new TypeError(`${name} cannot represent this value`);
      return whole;
    },
  });
}

export const GraphQLBytes = wholeScalar(
  'Bytes',
  'Whole bytes, 0 to 2^53 − 1, as a JSON number.',
  'a whole number of bytes from 0 to 9007199254740991',
);

export const GraphQLCount = wholeScalar(
  'Count',
  'How many, 0 to 2^53 − 1, as a JSON number.',
  'a whole number from 0 to 9007199254740991',
);
