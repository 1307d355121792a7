import { getIntrospectionQuery } from 'graphql';

/** A request that is to be refused before anything of it runs, on every transport. */
export interface HostileDocument {
  readonly kind: Kind;
  readonly name: string;
  /** What is sent, as JSON. */
  readonly body: unknown;
  /** `extensions.code` of the refusal; or how a transport ends what is no request of its protocol at all. */
  readonly code: Code;
}
type Kind =
  | 'depth'
  | 'width'
  | 'aliases'
  | 'fragments'
  | 'overlaps'
  | 'literals'
  | 'variables'
  | 'directives'
  | 'introspection'
  | 'operations'
  | 'batches'
  | 'size';
type Code = 'GRAPHQL_PARSE_FAILED' | 'GRAPHQL_VALIDATION_FAILED' | 'BAD_USER_INPUT' | 'NO_REQUEST' | 'TOO_LARGE';

const many = (count: number, one: (index: number) => string, between = ' ') =>
  Array.from({ length: count }, (_, index) => one(index)).join(between);
const nested = (levels: number, open: string, inside: string) =>
  `${`${open} { `.repeat(levels)}${inside}${' }'.repeat(levels)}`;
const ID = '"Q2hhbm5lbDoxMTExMTExMS0xMTExLTQxMTEtODExMS0xMTExMTExMTExMTE"';

const documents: HostileDocument[] = [];
/** Of the documents that follow: of one kind, refused with one code. */
const kind =
  (kind: Kind, code: Code) =>
  (name: string, query: string, variables?: unknown): void => {
    documents.push({ kind, name, code, body: { query, ...(variables === undefined ? {} : { variables }) } });
  };

const INVALID = 'GRAPHQL_VALIDATION_FAILED';

const depth = kind('depth', INVALID);
depth(
  '12 levels',
  `{ channel(id: ${ID}) { ${nested(5, 'videos(first: 1) { nodes { channel', 'id').replaceAll(' }', ' } } }')} } }`,
);
depth('31 comments up', `{ node(id: ${ID}) { ... on Comment { ${nested(30, 'parent', 'id')} } } }`);
depth('100 comments up', `{ node(id: ${ID}) { ... on Comment { ${nested(100, 'parent', 'id')} } } }`);
depth(
  'through 20 fragments',
  `{ node(id: ${ID}) { ...F0 } } ${many(20, (n) => `fragment F${n} on Comment { parent { ${n === 19 ? 'id' : `...F${n + 1}`} } }`)}`,
);
depth(
  'through inline fragments',
  `{ node(id: ${ID}) { ${nested(60, '... on Comment { parent', 'id').replaceAll(' }', ' } }')} } }`,
);

const width = kind('width', INVALID);
width(
  'pages in pages',
  `{ channel(id: ${ID}) { videos(first: 100) { nodes { comments(first: 100) { nodes { text } } } } } }`,
);
width(
  'pages in pages in pages',
  `{ channel(id: ${ID}) { videos(first: 100) { nodes { comments(first: 100) { nodes { replies(first: 100) { nodes { text } } } } } } } }`,
);
width(
  'pages in pages by a variable',
  `query ($n: Int!) { channel(id: ${ID}) { videos(first: $n) { nodes { comments(first: $n) { nodes { text } } } } } }`,
  { n: 100 },
);
width(
  'pages in pages by the default of a variable',
  `query ($n: Int = 100) { channel(id: ${ID}) { videos(first: $n) { nodes { comments(first: $n) { nodes { text } } } } } }`,
);
width('six root fields', `{ ${many(6, (n) => `a${n}: viewer { id }`)} }`);
width('six root fields by fragments', `{ ...F ...F ...F } fragment F on Query { viewer { id } pushPublicKey }`);
width(
  'five pages of pages beside each other',
  `{ ${many(5, (n) => `a${n}: channel(id: ${ID}) { videos(first: 100) { nodes { renditions { name } thumbnails { url } channel { id } } } }`)} }`,
);
const tooWide = kind('width', 'GRAPHQL_PARSE_FAILED');
tooWide('3,000 fields', `{ viewer { ${'id '.repeat(3_000)} } }`);
tooWide('20,000 fields', `{ viewer { ${'id '.repeat(20_000)} } }`);
const pages = kind('width', 'BAD_USER_INPUT');
pages('a page of 101', `{ channel(id: ${ID}) { videos(first: 101) { nodes { id } } } }`);
pages('a page of two milliards', `query ($n: Int!) { channel(id: ${ID}) { videos(first: $n) { nodes { id } } } }`, {
  n: 2_000_000_000,
});

const aliases = kind('aliases', INVALID);
aliases('16 of a field', `{ viewer { ${many(16, (n) => `a${n}: id`)} } }`);
aliases('90 lookups', `{ ${many(90, (n) => `a${n}: channel(id: ${ID}) { name }`)} }`);
aliases('200 of __typename', `{ ${many(200, (n) => `a${n}: __typename`)} }`);
aliases('in a fragment that is spread', `{ viewer { ${'...F '.repeat(20)} } } fragment F on User { a: id }`);
aliases(
  'in fragments that double 60 times',
  `{ viewer { ...F0 } } ${many(60, (n) => `fragment F${n} on User { ${n === 59 ? 'a: id' : `...F${n + 1} ...F${n + 1}`} }`)}`,
);
aliases(
  '30 guesses of a password',
  `mutation { ${many(30, (n) => `a${n}: login(input: { email: "a@example.org", password: "guess ${n}" }) { userErrors { code } }`)} }`,
);
aliases(
  'six guesses of a password',
  `mutation { ${many(6, (n) => `a${n}: login(input: { email: "a@example.org", password: "guess ${n}" }) { userErrors { code } }`)} }`,
);

const fragments = kind('fragments', INVALID);
fragments('one within itself', `{ viewer { ...F } } fragment F on User { id ...F }`);
fragments('two within each other', `{ viewer { ...F } } fragment F on User { ...G } fragment G on User { ...F }`);
fragments('one below a field of itself', `{ node(id: ${ID}) { ...F } } fragment F on Comment { parent { ...F } }`);
fragments(
  'a ring of 100',
  `{ viewer { ...F0 } } ${many(100, (n) => `fragment F${n} on User { ...F${(n + 1) % 100} }`)}`,
);
fragments(
  'everyone within everyone, 20 of them',
  `{ viewer { ...F0 } } ${many(20, (n) => `fragment F${n} on User { ${many(20, (m) => `...F${m}`)} }`)}`,
);
fragments(
  'a cycle of a subscription',
  `subscription { videoProgress(videoId: ${ID}) { ...F } } fragment F on Video { channel { videos { nodes { ...F } } } }`,
);
fragments('140 that nobody uses', `{ viewer { id } } ${many(140, (n) => `fragment F${n} on User { id }`)}`);
fragments('300 that are not there', `{ viewer { ${many(300, (n) => `...F${n}`)} } }`);
const doubling = kind('fragments', 'BAD_USER_INPUT');
doubling(
  'doubled 60 times',
  `{ viewer { ...F0 } } ${many(60, (n) => `fragment F${n} on User { ${n === 59 ? 'id' : `...F${n + 1} ...F${n + 1}`} }`)}`,
);
doubling(
  'ten times ten times ten times ten times ten',
  `{ viewer { ...F0 } } ${many(6, (n) => `fragment F${n} on User { ${n === 5 ? 'id' : `...F${n + 1} `.repeat(10)} }`)}`,
);

const overlaps = kind('overlaps', INVALID);
overlaps('one name, 100 arguments', `{ ${many(100, (n) => `channel(id: "${n}") { id }`)} }`);
overlaps(
  'one name in 55 fragments, two by two',
  `{ ${many(55, (n) => `...F${n}`)} } ${many(55, (n) => `fragment F${n} on Query { channel(handle: "h${n}") { id } }`)}`,
);
overlaps(
  'one name, levels of fragments',
  `{ viewer { ...F0 } } ${many(30, (n) => `fragment F${n} on User { x: id x: email ...F${Math.min(n + 1, 29)} ...F${Math.min(n + 2, 29)} }`)}`,
);

const literals = kind('literals', INVALID);
literals('a text of 50,000', `{ channel(handle: "${'x'.repeat(50_000)}") { id } }`);
literals(
  'a number of 50,000 digits',
  `{ channel(id: ${ID}) { videos(first: ${'9'.repeat(50_000)}) { nodes { id } } } }`,
);
literals(
  'a fraction of 50,000 digits',
  `{ channel(id: ${ID}) { videos(first: 1.${'9'.repeat(50_000)}) { nodes { id } } } }`,
);
literals('a text of 15,000 lines', `{ channel(handle: """${'x\n'.repeat(15_000)}""") { id } }`);
literals('300 arguments that do not exist', `{ channel(id: ${ID}, ${many(300, (n) => `a${n}: ${n}`)}) { id } }`);
literals('an object of 300 fields', `{ channel(id: { ${many(300, (n) => `a${n}: ${n}`)} }) { id } }`);
const unread = kind('literals', 'GRAPHQL_PARSE_FAILED');
unread('a list of 10,000', `{ channel(id: [${'1,'.repeat(10_000)}]) { id } }`);
unread('lists in lists, 20,000 deep', `{ channel(id: ${'['.repeat(20_000)}${']'.repeat(20_000)}) { id } }`);
unread('objects in objects, 5,000 deep', `{ channel(id: ${'{a:'.repeat(5_000)}1${'}'.repeat(5_000)}) { id } }`);
unread('braces in braces, 20,000 deep', '{a'.repeat(20_000));
unread('a text without an end', `{ channel(handle: "${'\\u0041'.repeat(8_000)}) { id } }`);

const variables = kind('variables', 'BAD_USER_INPUT');
const WITH_VARIABLES = 'query ($id: ID) { channel(id: $id) { id } }';
variables('20,000 values', WITH_VARIABLES, { id: Array(20_000).fill(1) });
variables(
  '20,000 that nobody asked for',
  WITH_VARIABLES,
  Object.fromEntries(Array.from({ length: 4_000 }, (_, n) => [`a${n}`, [1, 2, 3]])),
);
variables('2,000 levels deep', WITH_VARIABLES, { id: JSON.parse(`${'['.repeat(2_000)}${']'.repeat(2_000)}`) });

const directives = kind('directives', INVALID);
directives('400 that do not exist', `{ viewer { id ${'@a '.repeat(400)} } }`);
directives('120 times the same', `{ viewer { id ${'@skip(if: false) '.repeat(120)} } }`);
directives('one each on 60 fields', `{ viewer { ${'id @include(if: true) '.repeat(60)} } }`);
directives(
  'one each on 40 operations',
  many(40, (n) => `query Q${n} @a { viewer { id } }`),
);

const introspection = kind('introspection', INVALID);
introspection(
  'types of fields of types of fields',
  `{ __schema { types { ${nested(2, 'fields { type', 'name').replaceAll(' }', ' } }')} } } }`,
);
introspection(
  'types of fields, six times',
  `{ __schema { types { ${nested(6, 'fields { type', 'name').replaceAll(' }', ' } }')} } } }`,
);
introspection(
  'the same in fragments',
  `{ __schema { types { ...A } } } fragment A on __Type { fields { type { ...B } } } fragment B on __Type { fields { type { name } } }`,
);
introspection(
  'implementations of implementations',
  `{ __schema { types { ${nested(5, 'possibleTypes { interfaces', 'name').replaceAll(' }', ' } }')} } } }`,
);
introspection(
  'all of it, five times',
  getIntrospectionQuery().replace(
    '__schema {',
    `${many(4, (n) => `a${n}: __schema { types { ...FullType } }`)} __schema {`,
  ),
);
introspection('20 times the types', `{ __schema { ${many(20, (n) => `a${n}: types { fields { name } }`)} } }`);
introspection('60 types by name', `{ ${many(60, (n) => `a${n}: __type(name: "Video") { fields { name } }`)} }`);
introspection('100 wrappers', `{ __type(name: "Video") { ${nested(100, 'ofType', 'name')} } }`);

kind('operations', INVALID)(
  '120 of them',
  many(120, (n) => `query Q${n} { viewer { id } }`),
);
kind('operations', INVALID)('100 without a name', '{ viewer { id } }'.repeat(100));
kind('operations', INVALID)(
  'two streams in one',
  `subscription { a: videoProgress(videoId: ${ID}) { id } b: videoProgress(videoId: ${ID}) { id } }`,
);

const batch = (name: string, body: unknown) => documents.push({ kind: 'batches', name, body, code: 'NO_REQUEST' });
batch('of two', Array(2).fill({ query: '{ viewer { id } }' }));
batch('of 1,000', Array(1_000).fill({ query: '{ viewer { id } }' }));
batch('of none', []);
batch('in the place of the document', { query: Array(100).fill('{ viewer { id } }') });

kind('size', 'TOO_LARGE')('200 KB of remark', `{ viewer { id } } #${'x'.repeat(200_000)}`);
kind('size', 'TOO_LARGE')('200 KB of variables', WITH_VARIABLES, { id: 'x'.repeat(200_000) });

export const hostileDocuments: readonly HostileDocument[] = documents;
