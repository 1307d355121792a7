import { randomBytes } from 'node:crypto';
import { ApiClient, chunkOf, freePort, startApp, type TestApp } from '../support/index.js';
import { brokenInvariants } from '../support/invariants.js';

/** What clients are told while the object store is away, and that nothing is lost by it. */

const file = randomBytes(3_000_000);
let app: TestApp;
let ada: ApiClient;
let channelId: string;

beforeAll(async () => {
  const endpoint = `http://127.0.0.1:${await freePort()}`;
  const keys = { accessKey: 'a', secretKey: 's', region: 'us-east-1', pathStyle: true };
  // Nobody listens there: starting does not wait for it.
  app = await startApp({ s3: { endpoint, publicEndpoint: endpoint, bucket: 'videos', ...keys } });
  ada = await ApiClient.signUp(app.url);
  channelId = await ada.createChannel();
});
afterAll(() => app.stop());

const away = {
  message: 'The object store does not answer: try again in a moment.',
  extensions: { code: 'STORAGE_UNAVAILABLE', retryAfterMs: 5000 },
};
const SESSION = 'session { id } targets { url } userErrors { code }';

it('says STORAGE_UNAVAILABLE, and what was begun is there for the next attempt', async () => {
  const create = (next: object[]) =>
    ada.post(`mutation ($input: CreateUploadSessionInput!) { createUploadSession(input: $input) { ${SESSION} } }`, {
      input: { channelId, fileName: 'a.mp4', sizeBytes: file.length, idempotencyKey: 'once', next },
    });
  const begun = performance.now();
  const { errors } = await create([chunkOf(file, 0, 1_000_000)]);
  expect(errors).toMatchObject([away]);
  expect(JSON.stringify(errors)).not.toContain('127.0.0.1');
  expect(performance.now() - begun).toBeLessThan(20_000);

  // Without bytes there is nothing to ask the store for.
  const { data } = await create([]);
  const { id } = data.createUploadSession.session;
  const commit = (batch: object) =>
    ada.post(`mutation ($input: CommitChunksInput!) { commitChunks(input: $input) { ${SESSION} } }`, {
      input: { sessionId: id, ...batch },
    });
  expect((await commit({ stored: [chunkOf(file, 0, 1_000_000)], next: [] })).errors).toMatchObject([away]);
  expect((await commit({ stored: [], next: [chunkOf(file, 0, 1_000_000)] })).errors).toMatchObject([away]);
  expect(await ada.session(id)).toMatchObject({ state: 'OPEN', committedBytes: 0 });
  expect(await brokenInvariants(app.database)).toEqual({});
  expect(await fetch(`${app.url}/readyz`)).toMatchObject({ status: 200 });
});
