import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { makeClip } from '../support/clip.js';
import { ApiClient, sha256, sharedRedisUrl, spawnServer, type TestServer, until } from '../support/index.js';

interface Value {
  stringValue?: string;
  intValue?: number;
  doubleValue?: number;
  arrayValue?: { values: Value[] };
}
interface Span {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
  startTimeUnixNano: string;
  endTimeUnixNano: string;
  attributes: { key: string; value: Value }[];
  links: { traceId: string; spanId: string }[];
  status: { code?: number };
  events: { name: string }[];
  role: string;
}

/** An OTLP receiver that keeps what it gets. */
class Receiver {
  readonly spans: Span[] = [];
  readonly services = new Set<string>();
  readonly headers: (string | undefined)[] = [];
  url: string;
  private readonly server: Server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (text) => (body += text));
    request.on('end', () => {
      this.headers.push(request.headers.authorization);
      if (request.url === '/v1/traces') this.take(JSON.parse(body));
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    });
  });

  async listen(): Promise<void> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    this.url = `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  private take(sent: {
    resourceSpans: { resource: { attributes: Span['attributes'] }; scopeSpans: { spans: Omit<Span, 'role'>[] }[] }[];
  }): void {
    for (const { resource, scopeSpans } of sent.resourceSpans) {
      const of = (key: string) => resource.attributes.find((one) => one.key === key)?.value.stringValue ?? '';
      this.services.add(of('service.name'));
      for (const { spans } of scopeSpans) {
        this.spans.push(...spans.map((span) => ({ ...span, role: of('sluice.role') })));
      }
    }
  }

  close(): void {
    this.server.closeAllConnections();
    this.server.close();
  }
}

const attribute = (span: Span | undefined, key: string): Value | undefined =>
  span?.attributes.find((one) => one.key === key)?.value;

const receiver = new Receiver();
let api: TestServer;
let worker: TestServer;
beforeAll(async () => {
  await receiver.listen();
  const tracing = {
    OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
    OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Bearer%20receiver-token',
    OTEL_SERVICE_NAME: 'tested',
  };
  const secret = 'tracing-0123456789abcdef0123456789';
  const shared = {
    ...tracing,
    REDIS_URL: sharedRedisUrl(),
    ...{ TOKEN_SECRET: secret, STORAGE_SECRET: secret, PLAYBACK_SECRET: secret },
  };
  api = await spawnServer({ env: { ...shared, ROLE: 'api' } });
  worker = await spawnServer({
    env: {
      ...shared,
      ROLE: 'worker',
      LOG_LEVEL: 'debug',
      DATABASE_URL: api.database?.url ?? '',
      DATA_DIR: api.dataDir,
    },
  });
}, 60_000);
afterAll(async () => {
  await worker.remove();
  await api.remove();
  receiver.close();
});

describe('an upload whose parts two processes work on', () => {
  let spans: Span[];
  let video: { uuid: string; traceId: string };
  const named = (name: string) => spans.filter((span) => span.name === name);
  const parentOf = (span: Span | undefined) => spans.find(({ spanId }) => spanId === span?.parentSpanId);

  beforeAll(async () => {
    const client = await ApiClient.signUp(api.url);
    const clip = await makeClip({ seconds: 3, size: '640x360' });
    const channelId = await client.createChannel();
    const { session } = await client.createSession({ channelId, sizeBytes: clip.length, sha256: sha256(clip) });
    await client.send(session.id, clip, [
      [0, 1000],
      [1000, clip.length],
    ]);
    await fetch(`${api.url}/graphql`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        authorization: `Bearer ${client.token}`,
        traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      },
      body: JSON.stringify({
        query:
          'mutation ($input: CompleteUploadSessionInput!) { completeUploadSession(input: $input) { session { id } } }',
        variables: { input: { sessionId: session.id } },
      }),
    });
    await until(
      () => client.video(session.video.id),
      ({ state }) => state === 'READY',
    );
    const [row] = (await api.database?.query<{ id: string }>('SELECT id FROM video')) ?? [];
    const uuid = row?.id ?? '';
    video = { uuid, traceId: uuid.replaceAll('-', '') };
    // What a process still holds is sent while it ends.
    await worker.drain();
    await api.drain();
    spans = receiver.spans.filter(({ traceId }) => traceId === video.traceId);
  }, 120_000);

  it('is one trace from its creation to its publishing', () => {
    expect(receiver.spans.filter(({ traceId }) => traceId !== video.traceId)).toEqual([]);
    const roots = spans.filter(({ parentSpanId }) => !parentSpanId);
    expect(roots.map(({ name }) => name)).toEqual(['createUploadSession']);
    expect(new Set(spans.map(({ spanId }) => spanId)).size).toBe(spans.length);
    for (const span of spans) {
      if (span !== roots[0])
        expect({ name: span.name, hangs: parentOf(span) !== undefined }).toEqual({ name: span.name, hangs: true });
    }
    expect(attribute(roots[0], 'sluice.video.id')?.stringValue).toBe(video.uuid);
    const publish = named('publish').find((span) => attribute(span, 'sluice.outcome')?.stringValue === 'ready');
    expect(BigInt(publish?.endTimeUnixNano ?? 0)).toBeGreaterThan(BigInt(roots[0]?.startTimeUnixNano ?? 0));
  });

  it('has the spans of both processes', () => {
    const of = (role: string) => [...new Set(spans.filter((span) => span.role === role).map(({ name }) => name))];
    expect(of('api')).toEqual(
      expect.arrayContaining(['createUploadSession', 'commitChunks', 'completeUploadSession', 'store head']),
    );
    expect(of('worker')).toEqual(
      expect.arrayContaining([
        ...['assemble', 'probe', 'plan', 'encode first', 'encode', 'encode sound', 'make stills', 'publish'],
        ...['ffmpeg', 'ffprobe', 'store put', 'store read'],
      ]),
    );
    expect(receiver.services).toEqual(new Set(['tested']));
    expect(new Set(receiver.headers)).toEqual(new Set(['Bearer receiver-token']));
  });

  it('tells what was done, after which wait, and within what', () => {
    const [encode] = named('encode');
    expect(attribute(encode, 'sluice.piece.number')?.intValue).toBe(0);
    expect(attribute(encode, 'sluice.rungs')?.arrayValue?.values.map((rung) => rung.stringValue)).toEqual([
      '240p',
      '360p',
    ]);
    expect(attribute(encode, 'sluice.job.attempt')?.intValue).toBe(1);
    const wait = attribute(encode, 'sluice.job.wait_seconds');
    expect(wait?.doubleValue ?? wait?.intValue).toBeGreaterThanOrEqual(0);
    expect(
      named('ffmpeg')
        .map((span) => parentOf(span)?.name)
        .sort(),
    ).toEqual(['encode', 'encode first', 'encode sound', 'make stills']);
    // The header, then the packets.
    expect(named('ffprobe').map((span) => parentOf(span)?.name)).toEqual(['probe', 'probe']);
    expect(named('plan').map((span) => parentOf(span)?.name)).toEqual(['probe']);
    expect(named('commitChunks').every((span) => parentOf(span)?.name === 'createUploadSession')).toBe(true);
  });

  it("links to the caller's own trace", () => {
    expect(named('completeUploadSession')[0]?.links).toEqual([
      expect.objectContaining({ traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331' }),
    ]);
    expect(named('commitChunks')[0]?.links).toEqual([]);
  });

  it('is named in the log lines of both', () => {
    for (const server of [api, worker]) expect(server.output()).toContain(`"trace_id":"${video.traceId}"`);
  });
});
