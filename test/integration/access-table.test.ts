import { createECDH, randomUUID } from 'node:crypto';
import {
  type GraphQLInputType,
  type GraphQLObjectType,
  type GraphQLSchema,
  getNamedType,
  isInputObjectType,
  isInterfaceType,
  isObjectType,
} from 'graphql';
import { CommentsService } from '../../src/modules/comments/index.js';
import { buildSchema } from '../../src/schema.js';
import {
  type Answer,
  channelOf,
  globalId,
  type Person,
  person,
  startApp,
  type TestApp,
  videoIn,
} from '../support/index.js';
import { openStream } from './edge/subscribers.js';

const CALLERS = ['owner', 'editor', 'viewer', 'stranger', 'anonymous', 'admin'] as const;
type Caller = (typeof CALLERS)[number];

/** What one row acts on: new for each caller, so that nothing an operation does is in the way of the next one. */
interface World {
  people: Record<Exclude<Caller, 'anonymous'>, Person>;
  /** Of the owner, with an editor and a viewer. */
  channel: string;
  /** The name in its address. */
  handle: string;
  /** Private, and ready, with a rendition that is made when somebody asks for it. */
  video: string;
  /** Of the viewer, under that video. */
  comment: string;
  /** Of the owner, into the channel, open. */
  session: string;
  /** In the owner's inbox. */
  notification: string;
  /** Of the owner, under a public video; only for rows whose name says `owner's`. */
  words: string;
}

/** `ok`, `null`, the code of the first user error or top-level error, or `end` of a stream that said nothing. */
type Outcome = string;
interface Row {
  /** Arguments by name, with the ids of the world; `of` gives whatever is asked of the answer. */
  args: (world: World) => Record<string, unknown>;
  select?: string;
  expect: readonly [Outcome, Outcome, Outcome, Outcome, Outcome, Outcome];
}

const everybody = (outcome: Outcome) => [outcome, outcome, outcome, outcome, outcome, outcome] as const;
const signedIn = (outcome: Outcome) => [outcome, outcome, outcome, outcome, 'UNAUTHENTICATED', outcome] as const;
/** What owners and editors may do with what viewers see and strangers do not know of. */
const editors = (outcome: Outcome) =>
  [outcome, outcome, 'NOT_AN_EDITOR', 'NOT_FOUND', 'UNAUTHENTICATED', outcome] as const;
const members = ['ok', 'ok', 'ok', 'NOT_FOUND', 'UNAUTHENTICATED', 'ok'] as const;
const owners = ['ok', 'NOT_AN_OWNER', 'NOT_AN_OWNER', 'NOT_AN_OWNER', 'UNAUTHENTICATED', 'ok'] as const;
const watchers = ['ok', 'ok', 'ok', 'NOT_FOUND', 'NOT_FOUND', 'ok'] as const;
const readers = ['ok', 'ok', 'ok', 'null', 'null', 'ok'] as const;
const uploaders = (outcome: Outcome) =>
  [outcome, outcome, 'NOT_FOUND', 'NOT_FOUND', 'UNAUTHENTICATED', outcome] as const;
const administrators = ['FORBIDDEN', 'FORBIDDEN', 'FORBIDDEN', 'FORBIDDEN', 'UNAUTHENTICATED', 'ok'] as const;
const input = (make: (world: World) => object) => (world: World) => ({ input: make(world) });
const email = () => `${randomUUID()}@example.org`;
const PASSWORD = 'correct horse battery';
const PUSH_KEY = createECDH('prime256v1').generateKeys('base64url');

/**
 * Who gets what, in the order of CALLERS. An operation may have several rows: `name` and, behind a blank, what with.
 * Whoever adds an operation adds its row here.
 */
const TABLE: Record<string, Row> = {
  'Query.viewer': { args: () => ({}), select: '{ id }', expect: ['ok', 'ok', 'ok', 'ok', 'null', 'ok'] },
  'Query.channel id': { args: ({ channel }) => ({ id: channel }), select: '{ id }', expect: everybody('ok') },
  'Query.channel handle': { args: ({ handle }) => ({ handle }), select: '{ id }', expect: everybody('ok') },
  'Query.video': { args: ({ video }) => ({ id: video }), select: '{ id }', expect: readers },
  'Query.node video': { args: ({ video }) => ({ id: video }), select: '{ id }', expect: readers },
  'Query.node comment': { args: ({ comment }) => ({ id: comment }), select: '{ id }', expect: readers },
  'Query.node channel': { args: ({ channel }) => ({ id: channel }), select: '{ id }', expect: everybody('ok') },
  'Query.node session': {
    args: ({ session }) => ({ id: session }),
    select: '{ id }',
    expect: ['ok', 'ok', 'null', 'null', 'null', 'ok'],
  },
  'Query.node user': {
    args: ({ people }) => ({ id: people.owner.id }),
    select: '{ id }',
    expect: ['ok', 'null', 'null', 'null', 'null', 'ok'],
  },
  'Query.node notification': {
    args: ({ notification }) => ({ id: notification }),
    select: '{ id }',
    expect: ['ok', 'null', 'null', 'null', 'null', 'null'],
  },
  'Query.uploadSession': {
    args: ({ session }) => ({ id: session }),
    select: '{ id }',
    expect: ['ok', 'ok', 'null', 'null', 'null', 'ok'],
  },
  'Query.processingJobs': {
    args: ({ video }) => ({ videoId: video }),
    select: '{ nodes { id } }',
    expect: administrators,
  },
  'Query.newest': { args: () => ({}), select: '{ nodes { id } }', expect: everybody('ok') },
  'Query.trending': { args: () => ({}), select: '{ nodes { id } }', expect: everybody('ok') },
  'Query.rateLimit': { args: () => ({}), select: '{ cost }', expect: everybody('ok') },
  'Query.searchVideos': {
    args: ({ channel }) => ({ query: 'film', filter: { channelId: channel } }),
    select: '{ nodes { id } }',
    expect: everybody('ok'),
  },
  'Query.searchChannels': { args: () => ({ query: 'film' }), select: '{ nodes { id } }', expect: everybody('ok') },
  'Query.searchSuggestions': { args: () => ({ prefix: 'film' }), select: '', expect: everybody('ok') },
  'Query.pushPublicKey': { args: () => ({}), select: '', expect: signedIn('ok') },
  'Query.processingQueue': { args: () => ({}), select: '{ waiting }', expect: administrators },

  'Mutation.completeSetup': {
    args: input(() => ({ setupToken: 'x', email: email(), password: PASSWORD, displayName: 'Eve' })),
    expect: everybody('SETUP_TOKEN_INVALID'),
  },
  'Mutation.register': {
    args: input(() => ({ email: email(), password: PASSWORD, displayName: 'Eve' })),
    expect: everybody('ok'),
  },
  'Mutation.login': {
    args: input(() => ({ email: email(), password: PASSWORD })),
    expect: everybody('INVALID_CREDENTIALS'),
  },
  'Mutation.refreshSession': {
    args: input(() => ({ refreshToken: 'x' })),
    expect: everybody('REFRESH_TOKEN_INVALID'),
  },
  'Mutation.logout': { args: () => ({}), expect: everybody('ok') },
  'Mutation.requestPasswordReset': { args: input(() => ({ email: email() })), expect: everybody('MAIL_OFF') },
  'Mutation.resetPassword': {
    args: input(() => ({ resetToken: 'x', password: PASSWORD })),
    expect: everybody('RESET_TOKEN_INVALID'),
  },

  'Mutation.createChannel': {
    args: input(() => ({ handle: `c${randomUUID().slice(0, 12)}`, name: 'A channel' })),
    expect: signedIn('ok'),
  },
  'Mutation.updateChannel': {
    args: input(({ channel }) => ({ channelId: channel, name: 'Another name' })),
    expect: ['ok', 'ok', 'NOT_AN_EDITOR', 'NOT_AN_EDITOR', 'UNAUTHENTICATED', 'ok'],
  },
  'Mutation.deleteChannel': { args: input(({ channel }) => ({ channelId: channel })), expect: owners },
  'Mutation.addChannelMember': {
    args: input(({ channel, people }) => ({ channelId: channel, userId: people.stranger.id, role: 'OWNER' })),
    expect: owners,
  },
  'Mutation.acceptChannelMembership': {
    args: input(({ channel }) => ({ channelId: channel })),
    expect: ['ok', 'ok', 'ok', 'NOT_FOUND', 'UNAUTHENTICATED', 'NOT_FOUND'],
  },
  'Mutation.removeChannelMember': {
    args: input(({ channel, people }) => ({ channelId: channel, userId: people.viewer.id })),
    expect: ['ok', 'NOT_AN_OWNER', 'ok', 'NOT_AN_OWNER', 'UNAUTHENTICATED', 'ok'],
  },
  'Mutation.subscribeToChannel': { args: input(({ channel }) => ({ channelId: channel })), expect: signedIn('ok') },
  'Mutation.unsubscribeFromChannel': { args: input(({ channel }) => ({ channelId: channel })), expect: signedIn('ok') },

  'Mutation.updateVideo': {
    args: input(({ video }) => ({ videoId: video, title: 'Another name' })),
    expect: editors('ok'),
  },
  'Mutation.deleteVideo': { args: input(({ video }) => ({ videoId: video })), expect: editors('ok') },
  'Mutation.retryProcessing': {
    args: input(({ video }) => ({ videoId: video })),
    expect: editors('NOTHING_TO_PROCESS'),
  },
  'Mutation.requestRendition': { args: input(({ video }) => ({ videoId: video, name: '360p' })), expect: watchers },
  'Mutation.reactToVideo': { args: input(({ video }) => ({ videoId: video, like: true })), expect: members },

  'Mutation.addComment': { args: input(({ video }) => ({ videoId: video, text: 'Hello' })), expect: members },
  'Mutation.addComment reply': {
    args: input(({ video, comment }) => ({ videoId: video, parentId: comment, text: 'Hello' })),
    expect: members,
  },
  'Mutation.editComment': {
    args: input(({ comment }) => ({ commentId: comment, text: 'Other words' })),
    expect: ['NOT_YOUR_COMMENT', 'NOT_YOUR_COMMENT', 'ok', 'NOT_FOUND', 'UNAUTHENTICATED', 'NOT_YOUR_COMMENT'],
  },
  'Mutation.deleteComment': { args: input(({ comment }) => ({ commentId: comment })), expect: members },
  "Mutation.deleteComment owner's": {
    args: input(({ words }) => ({ commentId: words })),
    expect: ['ok', 'ok', 'NOT_YOUR_COMMENT', 'NOT_YOUR_COMMENT', 'UNAUTHENTICATED', 'ok'],
  },
  "Mutation.editComment owner's": {
    args: input(({ words }) => ({ commentId: words, text: 'Other words' })),
    expect: ['ok', 'NOT_YOUR_COMMENT', 'NOT_YOUR_COMMENT', 'NOT_YOUR_COMMENT', 'UNAUTHENTICATED', 'NOT_YOUR_COMMENT'],
  },
  'Mutation.pinComment': {
    args: input(({ comment }) => ({ commentId: comment, pinned: true })),
    expect: editors('ok'),
  },
  'Mutation.reactToComment': { args: input(({ comment }) => ({ commentId: comment, like: true })), expect: members },

  'Mutation.markNotificationsRead': {
    args: input(({ notification }) => ({ ids: [notification] })),
    expect: signedIn('ok'),
  },
  'Mutation.updateNotificationPreference': {
    args: input(() => ({ kind: 'COMMENT', push: false })),
    expect: signedIn('ok'),
  },

  'Mutation.registerPushSubscription': {
    args: input(() => ({ endpoint: 'https://localhost/', p256dh: PUSH_KEY, auth: 'A'.repeat(22) })),
    expect: signedIn('PUSH_ENDPOINT_REFUSED'),
  },
  'Mutation.removePushSubscription': {
    args: input(() => ({ endpoint: 'https://push.example.org/x' })),
    expect: signedIn('ok'),
  },

  'Mutation.createUploadSession': {
    args: input(({ channel }) => ({
      ...{ channelId: channel, fileName: 'film.mp4', sizeBytes: 1_000, idempotencyKey: randomUUID() },
    })),
    expect: ['ok', 'ok', 'NOT_FOUND', 'NOT_FOUND', 'UNAUTHENTICATED', 'NOT_FOUND'],
  },
  'Mutation.commitChunks': { args: input(({ session }) => ({ sessionId: session })), expect: uploaders('ok') },
  'Mutation.discardRanges': {
    args: input(({ session }) => ({ sessionId: session, ranges: [{ start: 0, end: 10 }] })),
    expect: uploaders('ok'),
  },
  'Mutation.pauseUploadSession': { args: input(({ session }) => ({ sessionId: session })), expect: uploaders('ok') },
  'Mutation.resumeUploadSession': { args: input(({ session }) => ({ sessionId: session })), expect: uploaders('ok') },
  'Mutation.cancelUploadSession': { args: input(({ session }) => ({ sessionId: session })), expect: uploaders('ok') },
  'Mutation.completeUploadSession': {
    args: input(({ session }) => ({ sessionId: session })),
    expect: uploaders('UPLOAD_INCOMPLETE'),
  },

  'Subscription.uploadProgress': {
    args: ({ session }) => ({ sessionId: session }),
    select: '{ id }',
    expect: ['ok', 'ok', 'end', 'end', 'UNAUTHENTICATED', 'ok'],
  },
  'Subscription.videoProgress': {
    args: ({ video }) => ({ videoId: video }),
    select: '{ id }',
    expect: ['ok', 'ok', 'ok', 'end', 'end', 'ok'],
  },
  'Subscription.notificationReceived': { args: () => ({}), select: '{ cursor }', expect: signedIn('ok') },
  'Subscription.channelNotifications': {
    args: ({ channel }) => ({ channelId: channel }),
    select: '{ cursor }',
    expect: everybody('ok'),
  },
  'Subscription.videoComments': {
    args: ({ video }) => ({ videoId: video }),
    select: '{ cursor }',
    expect: watchers,
  },
};

/** Lists that everybody sees as far as they see what they belong to. */
const OPEN_LISTS = ['Channel.videos', 'Comment.replies', 'Video.comments', 'Video.related', 'UploadSession.chunks'];
/** Lists that are nobody else's, and how many of one item each caller gets; null where there is no list for them. */
const LISTS: Record<string, readonly (number | null)[]> = {
  'Channel.members': [3, 3, 3, null, null, 3],
  'Channel.subscribers': [1, null, null, null, null, 1],
  'User.channels': [1, 0, 0, 0, 0, 1],
  'User.channelInvitations': [1, 0, 0, 0, 0, 1],
  'User.subscriptions': [1, 0, 0, 0, 0, 1],
  'User.subscriptionFeed': [1, 0, 0, 0, 0, 1],
  'User.uploadSessions': [1, 0, 0, 0, 0, 0],
  'User.notifications': [1, 0, 0, 0, 0, 0],
};

let app: TestApp;
let schema: GraphQLSchema;
beforeAll(async () => {
  // No worker: what these tests make is all there is.
  [app, schema] = await Promise.all([startApp({ rateLimitFactor: 1_000, role: 'api' }), buildSchema()]);
});
afterAll(() => app.stop());

/** @param name of the row that it is for: most need no upload */
async function newWorld(name = 'upload'): Promise<World> {
  const [owner, editor, viewer, stranger, admin] = (await Promise.all([
    ...[...Array(4).keys()].map(() => person(app)),
    person(app, 'ADMIN'),
  ])) as [Person, Person, Person, Person, Person];
  const channel = await channelOf(app, owner);
  await app.database.query(
    `INSERT INTO channel_member (channel_id, user_id, role) VALUES ($1, $2, 'EDITOR'), ($1, $3, 'VIEWER')`,
    [channel, editor.userId, viewer.userId],
  );
  const video = await videoIn(app, channel, owner, { visibility: 'PRIVATE' });
  await app.database.query(
    `INSERT INTO rendition (video_id, run, name, kind, position, width, height, frame_rate_num, frame_rate_den, timescale,
                            max_bits_per_second, segment_count, segment_duration, total_duration, on_demand)
     VALUES ($1, 1, '360p', 'VIDEO', 0, 640, 360, 25, 1, 12800, 800000, 1, 51200, 51200, 'ABSENT')`,
    [video],
  );
  const actor = { userId: viewer.userId, sessionId: '', role: 'MEMBER' } as const;
  const said = { videoId: video, parentId: null, text: 'Hello', idempotencyKey: null };
  const comment = await app.get(CommentsService).add(actor, said);
  const [{ handle }] = (await app.database.query('SELECT handle FROM channel WHERE id = $1', [channel])) as [
    { handle: string },
  ];
  const [{ cause }] = (await app.database.query(
    `INSERT INTO notification (recipient_id, cause, kind, video_id) VALUES ($1, gen_random_uuid(), 'COMMENT', $2) RETURNING cause`,
    [owner.userId, video],
  )) as [{ cause: string }];
  const made = { channelId: globalId('Channel', channel), fileName: 'film.mp4', sizeBytes: 1_000 };
  const isNeeded = /upload|session|chunks|ranges/i.test(name);
  const { session } = isNeeded
    ? await owner.does('createUploadSession', { ...made, idempotencyKey: randomUUID() }, 'session { id }')
    : { session: { id: '' } };
  let words = '';
  if (name.includes("owner's")) {
    const open = await videoIn(app, channel, owner);
    const speaker = { userId: owner.userId, sessionId: '', role: 'MEMBER' } as const;
    words = (await app.get(CommentsService).add(speaker, { ...said, videoId: open })).id;
  }
  return {
    words: globalId('Comment', words),
    people: { owner, editor, viewer, stranger, admin },
    ...{ channel: globalId('Channel', channel), handle, video: globalId('Video', video) },
    ...{ comment: globalId('Comment', comment.id), session: session.id, notification: globalId('Notification', cause) },
  };
}

const rootOf = (name: string) => {
  const [, root, field] = /^(Query|Mutation|Subscription)\.(\w+)/.exec(name) ?? [];
  const type = { Query: schema.getQueryType(), Mutation: schema.getMutationType() }[root as string];
  const found = (type ?? schema.getSubscriptionType())?.getFields()[field as string];
  if (!root || !found) throw new Error(`There is no ${name}.`);
  return { root, field: found };
};

/** The operation as a document whose arguments are variables. */
function documentOf(name: string, row: Row, args: object): string {
  const { root, field } = rootOf(name);
  const given = field.args.filter((arg) => arg.name in args);
  const variables = given.map((arg) => `$${arg.name}: ${arg.type}`).join(', ');
  const passed = given.map((arg) => `${arg.name}: $${arg.name}`).join(', ');
  const select = row.select ?? '{ userErrors { code field message } }';
  return `${root.toLowerCase()}${variables && ` (${variables})`} { it: ${field.name}${passed && `(${passed})`} ${select} }`;
}

async function answerTo(name: string, row: Row, args: Record<string, unknown>, token?: string): Promise<Answer> {
  const query = documentOf(name, row, args);
  if (rootOf(name).root !== 'Subscription') return app.graphql(query, args, token);
  const stream = await openStream(app.url, query, { token, variables: args });
  try {
    const event = await stream.next();
    return event?.event === 'next' ? event.data : { data: null };
  } finally {
    stream.close();
  }
}

function outcomeOf(name: string, { data, errors }: Answer): Outcome {
  if (errors) return errors[0].extensions.code;
  if (data === null && rootOf(name).root === 'Subscription') return 'end';
  return data.it === null ? 'null' : (data.it.userErrors?.[0]?.code ?? 'ok');
}

const tokenOf = (world: World, caller: Caller) => (caller === 'anonymous' ? undefined : world.people[caller].token);

/** Names of the arguments and inputs, at any depth, that are ids. */
function idsIn(type: GraphQLInputType, path: string): string[] {
  const named = getNamedType(type);
  if (named.name === 'ID') return [path];
  if (!isInputObjectType(named)) return [];
  return Object.values(named.getFields()).flatMap((field) => idsIn(field.type, `${path}.${field.name}`));
}

/** The same with ids of nothing. */
function missing(value: unknown): unknown {
  if (typeof value === 'string') {
    const [, type] = /^([A-Z]\w+):[0-9a-f-]{36}$/.exec(Buffer.from(value, 'base64url').toString()) ?? [];
    return type ? globalId(type, randomUUID()) : value;
  }
  if (Array.isArray(value)) return value.map(missing);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, missing(inner)]));
}

describe('the table', () => {
  it('has a row for every query, mutation and subscription, and none for what is not there', () => {
    const roots = [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()];
    const all = roots.flatMap((root) => Object.keys(root?.getFields() ?? {}).map((field) => `${root?.name}.${field}`));
    expect([...new Set(Object.keys(TABLE).map((name) => name.split(' ')[0]))].sort()).toEqual(all.sort());
  });

  it('tries every id that an operation takes', async () => {
    const world = await newWorld();
    const untried = Object.keys(TABLE).flatMap((name) => {
      const { field } = rootOf(name);
      const rows = Object.entries(TABLE).filter(([other]) => other.split(' ')[0] === name.split(' ')[0]);
      const given = new Set(rows.flatMap(([, row]) => pathsOf(row.args(world), '')));
      return field.args
        .flatMap((arg) => idsIn(arg.type, arg.name))
        .filter((path) => !given.has(path))
        .map((path) => `${name}(${path})`);
    });
    expect(untried).toEqual([]);
  });

  it('has a row for every type that has an id of its own', async () => {
    const world = await newWorld('upload');
    const tried = Object.entries(TABLE).flatMap(([name, row]) =>
      name.startsWith('Query.node ')
        ? [
            Buffer.from(String(row.args(world).id), 'base64url')
              .toString()
              .split(':')[0],
          ]
        : [],
    );
    const node = schema.getType('Node');
    if (!isInterfaceType(node)) throw new Error('Node is no interface.');
    expect(tried.sort()).toEqual(
      schema
        .getPossibleTypes(node)
        .map((type) => type.name)
        .sort(),
    );
  });

  it('has every list of the schema', () => {
    const connections = Object.values(schema.getTypeMap())
      .filter((type): type is GraphQLObjectType => isObjectType(type) && type !== schema.getQueryType())
      .flatMap((type) =>
        Object.values(type.getFields())
          .filter((field) => getNamedType(field.type).name.endsWith('Connection'))
          .map((field) => `${type.name}.${field.name}`),
      );
    expect([...OPEN_LISTS, ...Object.keys(LISTS)].sort()).toEqual(connections.sort());
  });
});

function pathsOf(value: object, path: string): string[] {
  return Object.entries(value).flatMap(([key, inner]) => {
    const here = path ? `${path}.${key}` : key;
    return inner !== null && typeof inner === 'object' && !Array.isArray(inner) ? pathsOf(inner, here) : [here];
  });
}

/** All that a row may act on, as it is. */
async function stateOf({ people, channel, video, comment, session, words, notification }: World): Promise<unknown> {
  const [c, v, m, s, w, n] = [channel, video, comment, session, words, notification].map((id) => {
    const [, uuid] = /:(.+)$/.exec(Buffer.from(id, 'base64url').toString()) ?? [];
    return uuid || null;
  });
  const [state] = await app.database.query(
    `SELECT (SELECT jsonb_agg(c) FROM channel c WHERE id = $1) AS channel,
            (SELECT jsonb_agg(m ORDER BY user_id) FROM channel_member m WHERE channel_id = $1) AS members,
            (SELECT jsonb_agg(f ORDER BY user_id) FROM channel_subscription f WHERE channel_id = $1) AS followers,
            (SELECT jsonb_agg(v) FROM video v WHERE id = $2) AS video,
            (SELECT jsonb_agg(r) FROM rendition r WHERE video_id = $2) AS renditions,
            (SELECT jsonb_agg(l ORDER BY user_id) FROM video_like l WHERE video_id = $2) AS likes,
            (SELECT jsonb_agg(d) FROM video_discussion d WHERE video_id = $2) AS discussion,
            (SELECT jsonb_agg(o ORDER BY id) FROM comment o WHERE video_id = $2 OR id IN ($3, $5)) AS comments,
            (SELECT jsonb_agg(l ORDER BY user_id) FROM comment_like l WHERE comment_id IN ($3, $5)) AS "likesOfComments",
            (SELECT jsonb_agg(u ORDER BY id) FROM upload_session u WHERE id = $4 OR channel_id = $1) AS uploads,
            (SELECT jsonb_agg(n ORDER BY cause) FROM notification n WHERE cause = $6 AND recipient_id = $7) AS inbox`,
    [c, v, m, s, w, n, people.owner.userId],
  );
  return state;
}

it.each(Object.entries(TABLE))('%s', async (name, row) => {
  const found: Record<string, Outcome> = {};
  for (const caller of CALLERS) {
    const world = await newWorld(name);
    const args = row.args(world);
    const before = await stateOf(world);
    found[caller] = outcomeOf(name, await answerTo(name, row, args, tokenOf(world, caller)));
    const isOthers = name === 'Mutation.markNotificationsRead' && caller !== 'owner';
    if (found[caller] !== 'ok' || isOthers)
      expect({ caller, state: await stateOf(world) }).toEqual({ caller, state: before });
  }
  expect(found).toEqual(Object.fromEntries(CALLERS.map((caller, n) => [caller, row.expect[n]])));
});

it.each(
  Object.entries(TABLE).filter(
    ([
      ,
      {
        expect: [, , , stranger],
      },
    ]) => ['NOT_FOUND', 'null', 'end'].includes(stranger),
  ),
)('%s: what is not theirs looks like what is not there', async (name, row) => {
  const world = await newWorld(name);
  for (const [n, caller] of CALLERS.entries()) {
    if (!['NOT_FOUND', 'null', 'end'].includes(row.expect[n] as Outcome)) continue;
    const args = row.args(world);
    const [forbidden, absent] = [
      await answerTo(name, row, args, tokenOf(world, caller)),
      await answerTo(name, row, missing(args) as Record<string, unknown>, tokenOf(world, caller)),
    ];
    expect({ caller, answer: forbidden }).toEqual({ caller, answer: absent });
  }
});

it.each(Object.entries(LISTS))('%s is for those who may see it', async (name, lengths) => {
  const world = await newWorld(name);
  const { owner } = world.people;
  await owner.does('subscribeToChannel', { channelId: world.channel });
  await owner.does('updateVideo', { videoId: world.video, visibility: 'PUBLIC' });
  const [type, field] = name.split('.') as [string, string];
  // Somebody else's account is met as the author of a comment.
  const said = { videoId: world.video, text: 'By the owner' };
  const { comment } = await owner.does('addComment', said, 'comment { id }');
  const channelOfOthers = await channelOf(app, world.people.stranger);
  await app.database.query(
    `INSERT INTO channel_member (channel_id, user_id, role, accepted_at) VALUES ($1, $2, 'OWNER', NULL)`,
    [channelOfOthers, owner.userId],
  );
  const holderType = schema.getType(type) as GraphQLObjectType;
  const connection = getNamedType(holderType.getFields()[field]?.type) as GraphQLObjectType;
  const counts = 'totalCount' in connection.getFields();
  const list = `list: ${field}(first: 10) { edges { cursor } ${counts ? 'totalCount' : ''} }`;
  const [query, id] =
    type === 'Channel'
      ? [`query ($id: ID!) { channel(id: $id) { ${list} } }`, world.channel]
      : [`query ($id: ID!) { node(id: $id) { ... on Comment { author { ${list} } } } }`, comment.id];
  const found: (number | null)[] = [];
  for (const caller of CALLERS) {
    const { data } = await app.graphql<Answer>(query, { id }, tokenOf(world, caller));
    const holder = data.channel ?? data.node.author;
    found.push(holder.list === null ? null : holder.list.edges.length);
    const isUncounted = name === 'User.subscriptionFeed';
    if (counts && holder.list) expect(holder.list.totalCount).toBe(isUncounted ? null : holder.list.edges.length);
  }
  expect(found).toEqual(lengths);
});

it("Channel.videos has what is private for the channel's editors alone", async () => {
  const world = await newWorld('videos');
  const query = 'query ($id: ID!) { channel(id: $id) { videos { totalCount nodes { id } } } }';
  const found: number[] = [];
  for (const caller of CALLERS) {
    const { data } = await app.graphql<Answer>(query, { id: world.channel }, tokenOf(world, caller));
    expect(data.channel.videos.totalCount).toBe(data.channel.videos.nodes.length);
    found.push(data.channel.videos.nodes.length);
  }
  expect(found).toEqual([1, 1, 0, 0, 0, 1]);
});

const HIDDEN: Record<string, string> = {
  blocked: "visibility = 'PUBLIC', state = 'BLOCKED'",
  failed: "visibility = 'PUBLIC', state = 'FAILED'",
  'not verified': "visibility = 'PUBLIC', verified_at = NULL, state = 'PLAYABLE'",
  'not processed': "visibility = 'PUBLIC', state = 'PROCESSING'",
  'not published yet': "visibility = 'PUBLIC', publish_at = now() + interval '1 hour'",
  deleted: "visibility = 'PUBLIC', deleted_at = now()",
};
const OF_VIDEOS = Object.entries(TABLE).filter(
  ([name, row]) =>
    /video|comment|rendition|retry/i.test(name) &&
    !name.includes("owner's") &&
    ['NOT_FOUND', 'null', 'end'].includes(row.expect[3]),
);

it.each(Object.entries(HIDDEN))('a video that is %s is nothing to strangers', async (_what, change) => {
  const world = await newWorld();
  await app.database.query(`UPDATE video SET ${change} WHERE id = $1`, [uuidOf(world.video)]);
  for (const [name, row] of OF_VIDEOS) {
    for (const caller of ['stranger', 'anonymous'] as const) {
      const expected = row.expect[CALLERS.indexOf(caller)];
      const outcome = outcomeOf(name, await answerTo(name, row, row.args(world), tokenOf(world, caller)));
      expect({ name, caller, outcome }).toEqual({ name, caller, outcome: expected });
    }
  }
});

it('a video that is not listed is there for who has its id', async () => {
  const world = await newWorld();
  await app.database.query(`UPDATE video SET visibility = 'UNLISTED' WHERE id = $1`, [uuidOf(world.video)]);
  for (const [name, row] of OF_VIDEOS) {
    const outcome = outcomeOf(name, await answerTo(name, row, row.args(world), world.people.stranger.token));
    expect({ name, isHidden: ['NOT_FOUND', 'null', 'end'].includes(outcome) }).toEqual({ name, isHidden: false });
  }
});

it("nothing is said in reply to what is not one's to see, under a video that is", async () => {
  const world = await newWorld();
  const { stranger } = world.people;
  const own = globalId('Video', await videoIn(app, await channelOf(app, stranger), stranger));
  const before = await stateOf(world);
  const { userErrors } = await stranger.does('addComment', { videoId: own, parentId: world.comment, text: 'Hello' });
  expect(userErrors).toEqual([{ code: 'NOT_FOUND', field: ['parentId'] }]);
  expect(await stateOf(world)).toEqual(before);
});

it('who was an editor sees nothing of what is said under what they uploaded', async () => {
  const { people, channel } = await newWorld();
  const { owner, editor } = people;
  const input = { channelId: channel, fileName: 'film.mp4', sizeBytes: 1_000, idempotencyKey: randomUUID() };
  const { session } = await editor.does('createUploadSession', input, 'session { id video { id } }');
  const videoId = session.video.id;
  await app.database.query(`UPDATE video SET state = 'READY', verified_at = now() WHERE id = $1`, [uuidOf(videoId)]);
  const { comment } = await owner.does('addComment', { videoId, text: 'Among us' }, 'comment { id }');
  await owner.does('pinComment', { commentId: comment.id, pinned: true });
  await owner.does('reactToVideo', { videoId, like: true });
  const query = `{ viewer { uploadSessions { nodes { video {
    likeCount commentCount pinnedComment { text } comments { nodes { text } } } } } } }`;
  const see = async () => (await editor.ask(query)).viewer.uploadSessions.nodes[0].video;
  const all = {
    likeCount: 1,
    commentCount: 1,
    pinnedComment: { text: 'Among us' },
    comments: { nodes: [{ text: 'Among us' }] },
  };
  const nothing = { likeCount: 0, commentCount: 0, pinnedComment: null, comments: { nodes: [] } };
  expect(await see()).toEqual(all);
  await app.database.query(`UPDATE video SET state = 'BLOCKED' WHERE id = $1`, [uuidOf(videoId)]);
  expect(await see()).toEqual(all);
  await app.database.query(`UPDATE video SET state = 'READY' WHERE id = $1`, [uuidOf(videoId)]);
  await owner.does('removeChannelMember', { channelId: channel, userId: editor.id });
  expect(await see()).toEqual(nothing);
  await app.database.query(`UPDATE video SET visibility = 'PUBLIC' WHERE id = $1`, [uuidOf(videoId)]);
  expect(await see()).toEqual(all);
  await app.database.query('UPDATE video SET deleted_at = now() WHERE id = $1', [uuidOf(videoId)]);
  expect(await see()).toEqual(nothing);
});

function uuidOf(id: string): string {
  return Buffer.from(id, 'base64url').toString().split(':')[1] as string;
}
