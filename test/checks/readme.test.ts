import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';
import { optionsTable } from '../../src/common/config/index.js';
import { type Example, examplesOf, fillIn } from '../../web/src/examples.js';
import { startApp, type TestApp, temporaryFolder } from '../support/index.js';
import { textOf } from './sources.js';

const readme = textOf('README.md');

test('the table of the configuration is the code’s: npm run docs:config writes it', () => {
  const [, table = ''] = /<!-- configuration -->\n([\s\S]*?)\n?<!-- \/configuration -->/.exec(readme) ?? [];
  expect(table.trim()).toBe(optionsTable().trim());
});

test('what the README links to is there', () => {
  const links = [...readme.matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map((match) => match[1] ?? '');
  expect(links.length).toBeGreaterThan(3);
  for (const link of links) expect(link.endsWith('decisions') || textOf(link)).toBeTruthy();
});

describe('the examples, in their order, as they stand there', () => {
  const answers: Record<string, unknown> = {};
  let app: TestApp;
  let folder: string;
  let bytes: Buffer;
  let accessToken: string | undefined;

  beforeAll(async () => {
    app = await startApp();
    folder = await temporaryFolder();
    const clip = join(folder, 'clip.mp4');
    const source = ['-f', 'lavfi', '-i', 'testsrc2=size=426x240:rate=30', '-f', 'lavfi', '-i', 'sine=440'];
    await promisify(execFile)('ffmpeg', ['-v', 'error', ...source, '-t', '3', '-pix_fmt', 'yuv420p', clip]);
    bytes = await readFile(clip);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    answers.file = { name: 'clip.mp4', sizeBytes: bytes.length, sha256 };
  });
  afterAll(async () => {
    await app.stop();
    await rm(folder, { recursive: true });
  });

  const variablesOf = (example: Example) => {
    const filled = fillIn(JSON.parse(example.variables), answers) as Record<string, unknown>;
    expect(JSON.stringify(filled)).not.toContain('{{');
    return filled;
  };

  async function send(example: Example): Promise<void> {
    const { data, errors } = await app.graphql(example.query, variablesOf(example), accessToken);
    expect(errors).toBeUndefined();
    for (const payload of Object.values(data as Record<string, { userErrors?: unknown[] } | null>)) {
      expect(payload?.userErrors ?? []).toEqual([]);
    }
    Object.assign(answers, data);
    const sessions = Object.values(data).map((payload) => (payload as { session?: { accessToken?: string } }).session);
    accessToken = sessions.find((session) => session?.accessToken)?.accessToken ?? accessToken;
  }

  /** Until the state that the README names beside it. */
  async function follow(example: Example, state: string): Promise<void> {
    const client = createClient({
      url: `${app.url.replace('http', 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      connectionParams: { authorization: `Bearer ${accessToken}` },
      retryAttempts: 0,
    });
    const operation = { query: example.query, variables: variablesOf(example) };
    for await (const { data, errors } of client.iterate<Record<string, { state: string }>>(operation)) {
      expect(errors).toBeUndefined();
      const [current] = Object.values(data ?? {});
      if (current?.state === state) return client.dispose();
    }
    throw new Error(`${example.name} ended before it was ${state}.`);
  }

  async function put(): Promise<void> {
    const [, code = ''] = /^```js\n([\s\S]*?)^```/m.exec(readme) ?? [];
    const AsyncFunction = (async () => undefined).constructor as new (
      ...text: string[]
    ) => (...values: unknown[]) => Promise<void>;
    const { targets } = answers.createUploadSession as { targets: unknown[] };
    expect(targets).toHaveLength(1);
    await new AsyncFunction('target', 'bytes', code)(targets[0], bytes);
  }

  test.each(examplesOf(readme).map((example) => [example.name, example] as const))(
    '%s',
    async (name, example) => {
      if (name === 'CommitChunks') await put();
      if (name === 'UploadProgress') return follow(example, 'COMPLETED');
      if (name === 'VideoProgress') return follow(example, 'READY');
      await send(example);
    },
    120_000,
  );

  test('they did what the text says', () => {
    expect(answers).toMatchObject({
      commitChunks: { session: { progress: 1, missingRanges: [] }, results: [{ outcome: 'COMMITTED' }] },
      completeUploadSession: { session: { state: 'COMPLETING' } },
      video: { state: 'READY', playback: { hlsUrl: expect.any(String), dashUrl: expect.any(String) } },
      updateVideo: { video: { visibility: 'PUBLIC' } },
      viewer: { channels: { nodes: [{ handle: 'canal', videos: { nodes: [{ state: 'READY' }] } }] } },
      logout: { userErrors: [] },
    });
  });

  test('and what it says of their addresses', async () => {
    const { playback } = answers.video as { playback: { hlsUrl: string; dashUrl: string } };
    for (const address of [playback.hlsUrl, playback.dashUrl]) expect((await fetch(address)).status).toBe(200);
  });
});
