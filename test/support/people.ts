import { randomUUID } from 'node:crypto';
import { Database } from '../../src/common/database/index.js';
import { Live } from '../../src/common/live/index.js';
import { AccessTokens } from '../../src/modules/auth/access-tokens.js';
import { SessionsService } from '../../src/modules/auth/sessions.service.js';
import { ChannelsService } from '../../src/modules/channels/index.js';
import { UsersService } from '../../src/modules/users/index.js';
import { listTopic } from '../../src/modules/videos/index.js';
import type { TestApp } from './app.js';
import type { Answer } from './client.js';

export interface Person {
  /** As the database has it. */
  userId: string;
  /** As the API has it. */
  id: string;
  token: string;
  /** @throws when there are top-level errors */
  ask(query: string, variables?: object): Promise<Answer>;
  /** The answer of one mutation with an `input`; `fields` beside the user errors. */
  does(mutation: string, input: object, fields?: string): Promise<Answer>;
}

export const globalId = (type: string, uuid: string): string => Buffer.from(`${type}:${uuid}`).toString('base64url');

/** Somebody signed in, without the cost of a password. */
export async function person(app: TestApp, role: 'MEMBER' | 'ADMIN' = 'MEMBER', displayName = 'Ada'): Promise<Person> {
  const database = app.get(Database);
  const said = { email: `${randomUUID()}@example.org`, displayName };
  const userId = await app.get(UsersService).create(database, said, 'no hash', role);
  const { sessionId, issuedAt } = await app.get(SessionsService).open(database, userId);
  const { token } = await app.get(AccessTokens).sign({ sub: userId, sid: sessionId }, issuedAt);
  const ask = async (query: string, variables: object = {}) => {
    const { data, errors } = await app.graphql(query, { ...variables }, token);
    if (errors) throw new Error(JSON.stringify(errors));
    return data as Answer;
  };
  return {
    userId,
    id: globalId('User', userId),
    token,
    ask,
    async does(mutation, input, fields = '') {
      const type = `${mutation.charAt(0).toUpperCase()}${mutation.slice(1)}Input`;
      const query = `mutation ($input: ${type}!) { ${mutation}(input: $input) { ${fields} userErrors { code field } } }`;
      return (await ask(query, { input }))[mutation];
    },
  };
}

/** A channel of this person's. @returns its row's id */
export async function channelOf(app: TestApp, owner: Person): Promise<string> {
  const handle = `c${randomUUID().slice(0, 12)}`;
  return (await app.get(ChannelsService).create(owner.userId, { handle, name: 'Ada films' })).id;
}

/** A video that plays, without an upload, and public unless said otherwise. @returns its row's id */
export async function videoIn(
  app: TestApp,
  channelId: string,
  owner: Person,
  row: { visibility?: string; listedAt?: string | null; state?: string; publishAt?: string } = {},
): Promise<string> {
  const { visibility = 'PUBLIC', listedAt = null, state = 'READY', publishAt = null } = row;
  const [made] = await app.database.query<{ id: string }>(
    `INSERT INTO video (channel_id, owner_id, title, visibility, state, stage, verified_at, published_at, listed_at, publish_at)
     VALUES ($1, $2, 'A film', $3, $4, 'DONE', now(), now(),
             CASE WHEN $3 = 'PUBLIC' AND $6::timestamptz IS NULL THEN coalesce($5::timestamptz, now()) END, $6) RETURNING id`,
    [channelId, owner.userId, visibility, state, listedAt, publishAt],
  );
  // As whatever brings a video into its channel's list does.
  app.get(Live).tick(listTopic(channelId));
  return made?.id as string;
}

/** A video that plays, which its owner has published: whoever keeps lists is told. @returns its id as the API has it */
export async function published(
  app: TestApp,
  channelId: string,
  owner: Person,
  words: { title: string; tags?: string[] },
): Promise<string> {
  const videoId = globalId('Video', await videoIn(app, channelId, owner, { visibility: 'PRIVATE' }));
  const { userErrors } = await owner.does('updateVideo', { videoId, ...words, visibility: 'PUBLIC' });
  if (userErrors.length > 0) throw new Error(JSON.stringify(userErrors));
  return videoId;
}
