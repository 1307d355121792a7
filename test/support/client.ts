import { createHash, randomUUID } from 'node:crypto';
import { graphql } from './graphql.js';

export const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** What tests read of an answer; each names the fields it asked for. */
// biome-ignore lint/suspicious/noExplicitAny: a test asserts what it reads
export type Answer = any;

export interface Chunk {
  offset: number;
  sizeBytes: number;
  sha256: string;
}
export interface Target {
  offset: number;
  sizeBytes: number;
  method: string;
  url: string;
  headers: { name: string; value: string }[];
}

const SESSION =
  'id state sizeBytes committedBytes progress committedRanges { start end } missingRanges { start end } failure { code } video { id state }';
const ERRORS =
  'userErrors { code message field __typename ... on SessionEnded { state } ... on UploadIncomplete { missingRanges { start end } } ... on QuotaExceeded { limitBytes usedBytes } }';
const TARGETS = 'targets { offset sizeBytes method url headers { name value } expiresAt }';

/** A user of the public API, and of nothing else. */
export class ApiClient {
  constructor(
    readonly url: string,
    public token: string | null = null,
    public email: string | null = null,
  ) {}

  static async signUp(url: string): Promise<ApiClient> {
    const client = new ApiClient(url);
    client.email = `${randomUUID()}@example.org`;
    const { register } = await client.query(
      'mutation ($input: RegisterInput!) { register(input: $input) { session { accessToken } userErrors { code } } }',
      { input: { email: client.email, password: 'correct horse battery', displayName: 'Ada' } },
    );
    client.token = register.session.accessToken;
    return client;
  }

  /** The whole answer: `{ data, errors }`. */
  async post(query: string, variables: object = {}): Promise<Answer> {
    return graphql(this.url, query, { ...variables }, this.token ?? undefined);
  }

  /** @throws when there are top-level errors */
  async query(query: string, variables: object = {}): Promise<Answer> {
    const { data, errors } = await this.post(query, variables);
    if (errors) throw new Error(JSON.stringify(errors));
    return data;
  }

  async createChannel(): Promise<string> {
    const { createChannel } = await this.query(
      'mutation ($input: CreateChannelInput!) { createChannel(input: $input) { channel { id } userErrors { code } } }',
      { input: { handle: `c${randomUUID().slice(0, 8)}`, name: 'Ada films' } },
    );
    return createChannel.channel.id;
  }

  async createSession(input: object): Promise<Answer> {
    const { createUploadSession } = await this.query(
      `mutation ($input: CreateUploadSessionInput!) { createUploadSession(input: $input) { session { ${SESSION} } ${TARGETS} ${ERRORS} } }`,
      { input: { fileName: 'film.mp4', idempotencyKey: randomUUID(), ...input } },
    );
    return createUploadSession;
  }

  async commit(sessionId: string, batch: { stored?: Chunk[]; failed?: object[]; next?: Chunk[] }): Promise<Answer> {
    const { commitChunks } = await this.query(
      `mutation ($input: CommitChunksInput!) { commitChunks(input: $input) {
         session { ${SESSION} } results { offset sizeBytes outcome code message } ${TARGETS} ${ERRORS} } }`,
      { input: { sessionId, ...batch } },
    );
    return commitChunks;
  }

  async complete(sessionId: string, sha: string | null = null): Promise<Answer> {
    const { completeUploadSession } = await this.query(
      `mutation ($input: CompleteUploadSessionInput!) { completeUploadSession(input: $input) { session { ${SESSION} } video { id } ${ERRORS} } }`,
      { input: { sessionId, sha256: sha } },
    );
    return completeUploadSession;
  }

  /** pause, resume or cancel */
  async move(what: 'pause' | 'resume' | 'cancel', sessionId: string): Promise<Answer> {
    const data = await this.query(
      `mutation ($input: UploadSessionInput!) { move: ${what}UploadSession(input: $input) { session { ${SESSION} pausedAt } ${ERRORS} } }`,
      { input: { sessionId } },
    );
    return data.move;
  }

  async session(id: string): Promise<Answer> {
    const { uploadSession } = await this.query(`query ($id: ID!) { uploadSession(id: $id) { ${SESSION} } }`, { id });
    return uploadSession;
  }

  async video(id: string): Promise<Answer> {
    const { video } = await this.query(
      `query ($id: ID!) { video(id: $id) { id title state visibility failure { code message } durationMs width height frameRate
         renditions { name width height state } processing { stage progress attempts }
         playback { hlsUrl dashUrl } posterUrl } }`,
      { id },
    );
    return video;
  }

  /** Sends and commits these ranges of the file. */
  async send(sessionId: string, file: Buffer, ranges: readonly (readonly [number, number])[]): Promise<Answer> {
    const chunks = ranges.map(([start, end]) => chunkOf(file, start, end));
    const { targets } = await this.commit(sessionId, { next: chunks });
    for (const target of targets) await put(target, file.subarray(target.offset, target.offset + target.sizeBytes));
    return this.commit(sessionId, { stored: chunks });
  }
}

/** An id of the API as the database has it. */
export const rowId = (id: string): string => Buffer.from(id, 'base64url').toString().split(':')[1] as string;

export function chunkOf(file: Buffer, start: number, end: number): Chunk {
  return { offset: start, sizeBytes: end - start, sha256: sha256(file.subarray(start, end)) };
}

/** @returns the store's status */
export async function put(target: Target, body: Buffer): Promise<number> {
  const response = await fetch(target.url, {
    method: target.method,
    headers: Object.fromEntries(target.headers.map(({ name, value }) => [name, value])),
    body: new Uint8Array(body),
    signal: AbortSignal.timeout(20_000),
  });
  await response.arrayBuffer();
  return response.status;
}

/** Looks again and again until `done` says so; the test's own time-out bounds it. */
export async function until<T>(look: () => Promise<T>, done: (value: T) => boolean, everyMs = 200): Promise<T> {
  for (;;) {
    const value = await look();
    if (done(value)) return value;
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}
