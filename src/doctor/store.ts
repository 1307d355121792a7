import { createHash, randomUUID } from 'node:crypto';
import { rootCertificates } from 'node:tls';
import pg from 'pg';
import type { Config } from '../common/config/index.js';
import { INCOMING, type ObjectStorage, openStorage, type PresignedRequest } from '../modules/storage/index.js';
import { bodyCapProblem, LARGEST_BODY } from './address.js';
import { type Answer, ask } from './ask.js';
import { type Area, type Check, inWords } from './check.js';
import { MOST_SKEW_MS, skewInWords } from './clock.js';
import { askAsPage, originProblem, pageOrigins } from './cors.js';

const BYTES = Buffer.from('What the doctor wrote, and will remove.');
const OTHER = Buffer.from(BYTES.map((byte) => byte ^ 1));
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
const SIGNED_HEADERS = ['if-none-match', 'x-amz-checksum-sha256'];

/** The S3 store, from here and from where browsers are. */
export function storeArea(config: Config & { s3: NonNullable<Config['s3']> }): Area {
  const { endpoint, publicEndpoint } = config.s3;
  const probe = new Probe(config);
  let listing = '';
  let root: Answer | undefined;
  return {
    name: 'store',
    close: () => probe.close(),
    checks: [
      {
        code: 'STORE_AWAY',
        right: `something answers at ${endpoint}`,
        needed: true,
        todo: 'Start the object store, or mend S3_ENDPOINT.',
        look: async () => {
          root = await ask(endpoint, probe.ca());
          return root.status >= 500 ? `It answers ${root.status}.` : null;
        },
      },
      {
        code: 'STORE_CLOCK_SKEW',
        right: 'its clock agrees with the one here',
        // Its refusals could be for the time alone.
        needed: true,
        todo: 'Set the clock of both machines by NTP (chrony, systemd-timesyncd): signed addresses are good by the store’s time.',
        look: async () => {
          const skew = Date.parse(root?.headers.date ?? '') - Date.now();
          return Math.abs(skew) > MOST_SKEW_MS ? skewInWords(skew) : null;
        },
      },
      {
        code: 'STORE_REFUSES',
        right: 'it takes our key',
        needed: true,
        todo: 'Mend S3_ACCESS_KEY, S3_SECRET_KEY and S3_REGION, or let that key read, write, list and delete in the bucket.',
        look: async () => {
          const storage = await probe.storage;
          const failed = await storage.list('', { limit: 1 }).then(
            () => null,
            (error: Error & { code?: string }) => error,
          );
          listing = failed?.code ?? '';
          return !failed || listing === 'NoSuchBucket' ? null : `${listing}: ${inWords(failed)}`;
        },
      },
      {
        code: 'STORE_BUCKET_MISSING',
        right: `the bucket ${config.s3.bucket} is there`,
        needed: true,
        todo: 'Start a server, which makes it where its key may; else make it, private and without versions, or mend S3_BUCKET.',
        look: async () => (listing === 'NoSuchBucket' ? 'The store does not know it.' : null),
      },
      {
        code: 'STORE_PUBLIC_AWAY',
        right: `browsers reach it at ${publicEndpoint}`,
        needed: true,
        todo: 'Mend S3_PUBLIC_ENDPOINT, or the proxy before the store.',
        look: async () => {
          const { status } = await ask(publicEndpoint, probe.ca());
          return status >= 500 ? `It answers ${status}.` : null;
        },
      },
      ...probe.checks(),
      {
        code: 'STORE_CORS_REFUSED',
        right: 'pages of all allowed origins may upload to it',
        todo: 'Allow PUT with if-none-match and x-amz-checksum-sha256 for PUBLIC_URL and CORS_ORIGINS: a CORS configuration of the bucket, or MINIO_API_CORS_ALLOW_ORIGIN.',
        look: () => probe.corsProblem(),
      },
      {
        code: 'STORE_BODY_CAPPED',
        right: 'a chunk of 64 MiB may be sent to it',
        todo: 'Raise the limit of the proxy before the store (nginx: client_max_body_size 65m or more, or 0 for none).',
        look: () => probe.capProblem(),
      },
    ],
  };
}

/** The disk store, by way of PUBLIC_URL: to be looked at when that is right. */
export function diskChecks(config: Config): { checks: Check[]; close(): Promise<void> } {
  const probe = new Probe(config);
  return {
    close: () => probe.close(),
    checks: [
      ...probe.checks(),
      {
        code: 'STORE_CORS_REFUSED',
        right: 'pages of all allowed origins may upload',
        todo: 'Set CORS_ORIGINS, and let the proxy pass OPTIONS requests and Access-Control headers untouched.',
        look: () => probe.corsProblem(),
      },
      {
        code: 'DISK_NOT_SHARED',
        right: 'what is uploaded is found here',
        todo: 'Run the doctor and all processes on one DATA_DIR (a shared file system), or move to S3 (S3_ENDPOINT).',
        look: () => probe.foundProblem(),
      },
    ],
  };
}

/** Objects of the doctor's own, put as a browser would. */
class Probe {
  readonly storage: Promise<ObjectStorage>;
  private readonly keys: string[] = [];
  private put: { target: PresignedRequest; key: string } | undefined;

  constructor(private readonly config: Config) {
    this.storage = openStorage(config);
    void Promise.allSettled([this.storage]);
  }

  checks(): Check[] {
    return [
      {
        code: 'STORE_REFUSES_UPLOADS',
        right: 'it takes what was signed for it',
        needed: true,
        todo: 'Let the proxy pass path, query, Host and all headers untouched; for disk storage give every process the same STORAGE_SECRET.',
        look: async () => {
          this.put = await this.sign(BYTES);
          const { status, body } = await this.send(this.put.target, BYTES);
          return status === 200 ? null : `A signed upload was answered with ${status}${codeIn(body)}.`;
        },
      },
      {
        code: 'STORE_OVERWRITES',
        right: 'it takes an object once (If-None-Match)',
        todo: 'Use a store, and a version of it, that honours If-None-Match: * on PutObject (MinIO, versitygw, AWS, SeaweedFS do): on this one a late upload destroys an earlier one.',
        look: async () => {
          const { status, body } = await this.send((this.put as { target: PresignedRequest }).target, BYTES);
          return status === 412
            ? null
            : `The second upload to one address was answered with ${status}${codeIn(body)}, not 412.`;
        },
      },
      {
        code: 'STORE_IGNORES_DIGESTS',
        right: 'it refuses bytes that are not the signed ones (SHA-256)',
        todo: 'Use a store, and a version of it, that checks x-amz-checksum-sha256: on this one bytes that a link spoilt are taken for good.',
        look: async () => {
          const { target, key } = await this.sign(BYTES);
          const { status } = await this.send(target, OTHER);
          if (status >= 400 && status < 500) return null;
          const kept = await (await this.storage).head(key);
          return `Other bytes were answered with ${status}${kept ? ' and kept' : ''}.`;
        },
      },
    ];
  }

  async corsProblem(): Promise<string | null> {
    const { target } = await this.sign(BYTES);
    const origins = pageOrigins(this.config, target.url);
    const problem = await askAsPage({ url: target.url, method: 'PUT', headers: SIGNED_HEADERS, ...this.ca() }, origins);
    const [origin] = origins;
    if (problem || origin === undefined) return problem;
    const { headers } = await this.send(target, BYTES, { origin });
    const refused = originProblem(origin, headers);
    return refused && `For pages of ${origin}, once it is stored: ${refused}.`;
  }

  async capProblem(): Promise<string | null> {
    const key = await this.newKey();
    const target = await (await this.storage).presignPut({ key, sizeBytes: LARGEST_BODY, sha256: sha256(BYTES) });
    return bodyCapProblem(target.url, target.method, headersOf(target), this.ca().ca);
  }

  async foundProblem(): Promise<string | null> {
    const found = await (await this.storage).head((this.put as { key: string }).key);
    return found
      ? null
      : `An upload by ${this.config.publicUrl} is not in the DATA_DIR that is set here (${this.config.dataDir}).`;
  }

  /** An address that was signed stays good for an hour: the collector looks once more then. */
  async close(): Promise<void> {
    const storage = await this.storage;
    try {
      if (this.keys.length > 0) await storage.delete(this.keys);
      await this.inDatabase(
        `UPDATE stored_object SET state = 'DELETING', changed_at = now() WHERE key = ANY($1::text[])`,
      );
    } finally {
      await (storage as { onApplicationShutdown?: () => unknown }).onApplicationShutdown?.();
    }
  }

  private async sign(bytes: Buffer): Promise<{ target: PresignedRequest; key: string }> {
    const key = await this.newKey();
    const storage = await this.storage;
    return { key, target: await storage.presignPut({ key, sizeBytes: bytes.length, sha256: sha256(bytes) }) };
  }

  private async newKey(): Promise<string> {
    const key = `${INCOMING}doctor/${randomUUID()}`;
    this.keys.push(key);
    // Its row comes first, as for every object: should the doctor be killed, the collector removes what it left.
    await this.inDatabase('INSERT INTO stored_object (key) SELECT unnest($1::text[]) ON CONFLICT (key) DO NOTHING');
    return key;
  }

  /** What is wrong with the database is told by its own checks, and does not keep the store from being looked at. */
  private async inDatabase(sql: string): Promise<void> {
    const client = new pg.Client({
      connectionString: this.config.databaseUrl,
      connectionTimeoutMillis: 3_000,
      query_timeout: 5_000,
    });
    client.on('error', () => undefined);
    try {
      await client.connect();
      await client.query(sql, [this.keys]);
    } catch {
      return; // see above
    } finally {
      await client.end();
    }
  }

  private send(target: PresignedRequest, body: Buffer, more: Record<string, string> = {}): Promise<Answer> {
    return ask(target.url, { method: target.method, headers: { ...headersOf(target), ...more }, body, ...this.ca() });
  }

  /** As the server trusts its store. */
  ca(): { ca?: string } {
    const ca = this.config.s3?.ca;
    return ca === undefined ? {} : { ca: [...rootCertificates, ca].join('\n') };
  }
}

const headersOf = (target: PresignedRequest) =>
  Object.fromEntries(target.headers.map(({ name, value }) => [name, value]));

function codeIn(body: string): string {
  const code = /<Code>(\w+)<\/Code>/.exec(body)?.[1];
  return code ? ` (${code})` : '';
}
