import { createHash, randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { addAbortSignal, Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { Logger, type OnApplicationShutdown } from '@nestjs/common';
import { bucketUrl, ConfigurationError, type S3Config } from '../../common/config/index.js';
import { assertIncomingKey, assertKeyPrefix, assertObjectKey, INCOMING } from './object-key.js';
import {
  type ByteRange,
  type ObjectPart,
  ObjectStorage,
  PRESIGNED_SECONDS,
  type PresignedRequest,
  type PutOptions,
  type StoredBytes,
} from './object-storage.js';
import { S3Read } from './s3-read.js';
import { codeOf, PATIENTLY_MS, S3Requests, UNTRUSTED } from './s3-requests.js';
import { presignedQuery } from './sigv4.js';
import {
  DigestMismatch,
  ObjectExists,
  ObjectMissing,
  RangeNotSatisfiable,
  SizeMismatch,
  StorageUnavailable,
} from './storage.errors.js';

/** What one put holds in memory; up to so many bytes are one request. S3 wants parts of 5 MiB at least, and 10,000 at most. */
const SMALLEST_PART = 8 * 1024 * 1024;
const MOST_PARTS = 10_000;
/** Less is not gathered in a part's memory, of which so much is kept for the next, for a while. */
const SMALL_PART = 1024 * 1024;
const MOST_SPARE = 32;
const SPARE_MS = 5_000;
/** A range is copied out of larger objects only, and at most so much at once. */
const SMALLEST_COPY = 5 * 1024 * 1024;
const LARGEST_COPY = 1024 * 1024 * 1024;
const COPIES_AT_ONCE = 4;
const DELETE_BATCH = 1000;
const LIST_PAGE = 1000;
const ABORTS_AT_ONCE = 16;
/** base64 of a SHA-256 of the whole object; that of a multipart object has its number of parts behind it. */
const WHOLE_DIGEST = /^[A-Za-z0-9+/]{43}=$/;
const MISSING = new Set(['NoSuchKey', 'NotFound', 'NoSuchObject']);

/** What a store that is away at the start is waited for. */
const PREPARE_AGAIN_MS = 10_000;
/** Names our own rule among the bucket's, so that another one is never replaced. */
const CORS_RULE = 'sluice';

/** Objects in a bucket of any store that speaks S3, conditional writes included. */
export class S3Storage extends ObjectStorage implements OnApplicationShutdown {
  private readonly logger = new Logger(S3Storage.name);
  private readonly requests: S3Requests;
  private preparing: NodeJS.Timeout | undefined;

  constructor(private readonly config: S3Config) {
    super();
    this.requests = new S3Requests(config);
  }

  onApplicationShutdown(): void {
    clearTimeout(this.preparing);
    this.requests.close();
  }

  /**
   * Makes the bucket where there is none, and lets pages of these origins put into it. A store that does not answer is
   * waited for in the background: what needs no store works without it.
   * @throws ConfigurationError when the store answers that it does not let us in
   */
  async prepare(origins: '*' | readonly string[]): Promise<void> {
    try {
      await this.ensureBucket();
      await this.ensureCors(origins);
    } catch (error) {
      if (!(error instanceof StorageUnavailable)) throw error;
      if (UNTRUSTED.test(codeOf(error.cause))) {
        throw new ConfigurationError([
          `${this.config.endpoint}: ${error.reason}. Name the PEM file of who signed it in S3_CA_FILE, and the store by a name that is in it.`,
        ]);
      }
      const again = () =>
        this.prepare(origins).catch((refused: Error) => this.logger.error(`cannot be used: ${refused.message}`));
      this.preparing = setTimeout(again, PREPARE_AGAIN_MS).unref();
    }
  }

  override async put(key: string, body: Readable | Buffer, options: PutOptions = {}): Promise<StoredBytes> {
    const source = Buffer.isBuffer(body) ? Readable.from([body]) : body;
    // An error before the first read has no listener yet; reading then throws that same error.
    source.once('error', () => undefined);
    try {
      assertObjectKey(key);
      if (options.signal) addAbortSignal(options.signal, source);
      const parts = partsOf(key, source, options);
      const first = await parts.next();
      if (first.done) return await this.putWhole(key, Buffer.alloc(0), first.value, options);
      const second = await parts.next();
      if (second.done) return await this.putWhole(key, first.value, second.value, options);
      return await this.putParts(key, first.value, second.value, parts, options);
    } finally {
      source.destroy();
    }
  }

  override async compose(key: string, parts: readonly ObjectPart[], options: PutOptions = {}): Promise<StoredBytes> {
    const total = parts.reduce((sum, { start, end }) => sum + end - start, 0);
    if (total <= SMALLEST_PART || !areCopyable(parts)) return super.compose(key, parts, options);
    const { sizeBytes = total, sha256, signal } = options;
    if (total !== sizeBytes) throw new SizeMismatch(key, sizeBytes, String(total));
    await this.inParts(key, options, async (send) => {
      const rest = parts.entries();
      let failed = false;
      const copy = async (): Promise<void> => {
        for (const [index, part] of rest) {
          // A part under way would outlive the upload's abortion: those are waited for, and none is begun.
          if (failed) return;
          await this.copyPart(part, (bytes, headers) => send(index + 1, bytes, headers), signal).catch((error) => {
            failed = true;
            throw error;
          });
        }
      };
      const copies = await Promise.allSettled(Array.from({ length: COPIES_AT_ONCE }, copy));
      const broken = copies.find((one) => one.status === 'rejected');
      if (broken) throw broken.reason;
    });
    try {
      const hash = createHash('sha256');
      for await (const bytes of await this.read(key, undefined, signal)) hash.update(bytes);
      const stored = { sizeBytes, sha256: hash.digest('hex') };
      if (sha256 !== undefined && sha256 !== stored.sha256) throw new DigestMismatch(key);
      return stored;
    } catch (error) {
      await this.quietly(`${key} could not be deleted`, () => this.delete([key]));
      throw error;
    }
  }

  override async head(key: string): Promise<{ sizeBytes: number; sha256: string | null } | null> {
    const object = await this.stat(key);
    return object && { sizeBytes: object.sizeBytes, sha256: object.sha256 };
  }

  override async read(key: string, range?: ByteRange, signal?: AbortSignal): Promise<Readable> {
    assertObjectKey(key);
    if (range && !(range.start >= 0 && range.start < range.end)) throw new RangeNotSatisfiable(key, range);
    const start = range?.start ?? 0;
    const open = async (from: number, end: number | undefined, forMs?: number): Promise<IncomingMessage> => {
      const partial = from > 0 || end !== undefined;
      const headers: Record<string, string> = partial
        ? { range: `bytes=${from}-${end === undefined ? '' : end - 1}` }
        : {};
      const request = { method: 'GET', bucketName: this.config.bucket, objectName: key, headers };
      try {
        return await this.requests.repeat(() => this.requests.client.makeRequestAsync(request, '', [200, 206]), {
          signal,
          forMs,
        });
      } catch (error) {
        if (MISSING.has(codeOf(error))) throw new ObjectMissing(key);
        if (codeOf(error) === 'InvalidRange')
          throw new RangeNotSatisfiable(key, range ?? { start: from, end: end ?? from });
        throw error;
      }
    };
    const first = await open(start, range?.end);
    const end = start + Number(first.headers['content-length']);
    const bytes = new S3Read(first, start, end, (from) => open(from, end, PATIENTLY_MS));
    return signal ? addAbortSignal(signal, bytes) : bytes;
  }

  override async list(
    prefix: string,
    { after = '', limit }: { after?: string; limit: number },
  ): Promise<{ key: string; sizeBytes: number }[]> {
    assertKeyPrefix(prefix);
    const objects: { key: string; sizeBytes: number }[] = [];
    for (let from = after; objects.length < limit; ) {
      const size = Math.min(limit - objects.length, LIST_PAGE);
      const page = await this.requests.repeat(() =>
        this.requests.client.listObjectsV2Query(this.config.bucket, prefix, '', '', size, from),
      );
      for (const { name, size: sizeBytes } of page.objects) {
        if (name !== undefined) objects.push({ key: name, sizeBytes: Number(sizeBytes) });
      }
      const last = objects.at(-1)?.key;
      if (!page.isTruncated || last === undefined) break;
      from = last;
    }
    return objects;
  }

  /** Also ends what a put of these keys that was cut has uploaded so far. */
  override async delete(keys: readonly string[]): Promise<void> {
    for (const key of keys) assertObjectKey(key);
    // Nothing but single requests is signed for incoming ones.
    const ours = keys.filter((key) => !key.startsWith(INCOMING)).values();
    const abortNext = async (): Promise<void> => {
      for (const key of ours) await this.abortUploads(key);
    };
    await Promise.all(Array.from({ length: ABORTS_AT_ONCE }, abortNext));
    for (let from = 0; from < keys.length; from += DELETE_BATCH) {
      const batch = keys.slice(from, from + DELETE_BATCH);
      const errors = await this.requests.repeat(() => this.requests.client.removeObjects(this.config.bucket, batch));
      const failed = errors.find((error) => error && !MISSING.has(String((error as { Code?: string }).Code)));
      if (failed) throw new StorageUnavailable(`Objects could not be deleted: ${JSON.stringify(failed)}.`);
    }
  }

  override async presignPut(object: { key: string; sizeBytes: number; sha256: string }): Promise<PresignedRequest> {
    assertIncomingKey(object.key);
    const at = await this.requests.now();
    const base = bucketUrl(this.config);
    const path = `${base.pathname.replace(/\/$/, '')}/${object.key}`;
    const checksum = Buffer.from(object.sha256, 'hex').toString('base64');
    const headers = {
      host: base.host,
      'content-length': String(object.sizeBytes),
      'if-none-match': '*',
      'x-amz-checksum-sha256': checksum,
    };
    const query = presignedQuery({ method: 'PUT', path, headers }, this.requests.signer, at, PRESIGNED_SECONDS);
    return {
      method: 'PUT',
      url: `${base.origin}${path}?${query}`,
      headers: [
        { name: 'x-amz-checksum-sha256', value: checksum },
        { name: 'if-none-match', value: '*' },
      ],
      expiresAt: new Date(Date.now() + PRESIGNED_SECONDS * 1000),
    };
  }

  override localPath(key: string): null {
    assertObjectKey(key);
    return null;
  }

  private async ensureBucket(): Promise<void> {
    const { client } = this.requests;
    const { bucket, region, endpoint } = this.config;
    const hint = 'Look at S3_ENDPOINT, S3_BUCKET, S3_REGION and the keys.';
    const missing = await this.requests
      .repeat(() => client.makeRequestAsyncOmit({ method: 'HEAD', bucketName: bucket }))
      .then(
        () => false,
        (error) => {
          if (error instanceof StorageUnavailable) throw error;
          if (['NotFound', 'NoSuchBucket'].includes(codeOf(error))) return true;
          throw new ConfigurationError([`${endpoint} refuses us the bucket ${bucket} (${codeOf(error)}). ${hint}`]);
        },
      );
    if (!missing) return;
    try {
      await this.requests.repeat(() => client.makeBucket(bucket, region));
      this.logger.log(`made the bucket ${bucket}`);
    } catch (error) {
      if (error instanceof StorageUnavailable) throw error;
      // Another process was there first.
      if (codeOf(error) === 'BucketAlreadyOwnedByYou') return;
      throw new ConfigurationError([
        `${endpoint} has no bucket ${bucket} that is ours, and lets us make none (${codeOf(error)}). ${hint}`,
      ]);
    }
  }

  /** Only where nobody else has said what pages may do. */
  private async ensureCors(origins: '*' | readonly string[]): Promise<void> {
    const request = { bucketName: this.config.bucket, query: 'cors' };
    const { client } = this.requests;
    const wanted = corsRule(origins);
    try {
      const present = await this.requests.repeat(async () =>
        text(await client.makeRequestAsync({ ...request, method: 'GET' })),
      );
      const ours = present.includes(`<ID>${CORS_RULE}</ID>`) && present.split('<CORSRule>').length === 2;
      const listed = [...present.matchAll(/<AllowedOrigin>(.*?)<\/AllowedOrigin>/g)].map((match) => match[1]);
      if (!ours || listed.join() === [origins].flat().join()) return;
    } catch (error) {
      if (error instanceof StorageUnavailable) throw error;
      const code = codeOf(error);
      if (code !== 'NoSuchCORSConfiguration' && code !== 'NotFound') return this.tellOfCors(code);
    }
    const headers = {
      'content-type': 'application/xml',
      'content-md5': createHash('md5').update(wanted).digest('base64'),
    };
    try {
      await this.requests.repeat(() =>
        client.makeRequestAsyncOmit({ ...request, method: 'PUT', headers }, Buffer.from(wanted), [200, 204]),
      );
    } catch (error) {
      if (error instanceof StorageUnavailable) throw error;
      this.tellOfCors(codeOf(error));
    }
  }

  /** MinIO answers pages of every origin and has no rules of a bucket's own. */
  private tellOfCors(code: string): void {
    if (code === 'NotImplemented' || code === 'MethodNotAllowed') return;
    this.logger.warn(`the bucket's CORS rules can be neither read nor set (${code}): see that they let pages put.`);
  }

  private async putWhole(
    key: string,
    bytes: Buffer,
    stored: StoredBytes,
    { signal }: PutOptions,
  ): Promise<StoredBytes> {
    const id = randomUUID();
    const headers = {
      'if-none-match': '*',
      'x-amz-checksum-sha256': Buffer.from(stored.sha256, 'hex').toString('base64'),
      'x-amz-meta-put': id,
    };
    const request = { method: 'PUT', bucketName: this.config.bucket, objectName: key, headers };
    // The digest is known: the client would make it again. Over TLS the payload is not signed, but the checksum is.
    const digest = this.config.endpoint.startsWith('https:') ? '' : stored.sha256;
    const put = async () =>
      text(await this.requests.client.makeRequestStreamAsync({ ...request }, bytes, digest, [200], ''));
    await this.once(key, id, put, signal);
    spareAgain(bytes);
    return stored;
  }

  private async putParts(
    key: string,
    first: Buffer,
    second: Buffer,
    rest: AsyncGenerator<Buffer, StoredBytes>,
    options: PutOptions,
  ): Promise<StoredBytes> {
    return this.inParts(key, options, async (send) => {
      const sendOnce = async (number: number, bytes: Buffer) => {
        await send(number, bytes);
        spareAgain(bytes);
      };
      await sendOnce(1, first);
      await sendOnce(2, second);
      for (let number = 3; ; number++) {
        const part = await rest.next();
        if (part.done) return part.value;
        await sendOnce(number, part.value);
      }
    });
  }

  /** A multipart upload of what `fill` sends; complete when that ends well, and aborted when it does not. */
  private async inParts<T>(
    key: string,
    { sha256, signal }: PutOptions,
    fill: (send: SendPart) => Promise<T>,
  ): Promise<T> {
    // Saves the work of a repeated put; what decides is the completion.
    if (await this.stat(key)) throw new ObjectExists(key);
    const { client } = this.requests;
    const { bucket } = this.config;
    const patience = { signal, forMs: PATIENTLY_MS };
    const id = randomUUID();
    const metadata = { 'x-amz-meta-put': id, ...(sha256 && { 'x-amz-meta-sha256': sha256 }) };
    // Repeated after an answer that was lost, it leaves an upload behind, which ends with the key's.
    const uploadId = await this.requests.repeat(
      () => client.initiateNewMultipartUpload(bucket, key, { ...metadata }),
      patience,
    );
    try {
      const etags: string[] = [];
      // A part sent again takes the place of the one before.
      const send: SendPart = (number, bytes, headers) =>
        this.requests.repeat(async () => {
          const query = `partNumber=${number}&uploadId=${encodeURIComponent(uploadId)}`;
          const request = { method: 'PUT', bucketName: bucket, objectName: key, query, headers: { ...headers } };
          const answer = await client.makeRequestAsync(request, bytes);
          const told = await textOf(answer);
          const etag = /<ETag>(.*?)<\/ETag>/.exec(told)?.[1] ?? String(answer.headers.etag);
          etags[number - 1] = etag.replaceAll(/"|&quot;|&#34;/g, '');
        }, patience);
      const result = await fill(send);
      signal?.throwIfAborted();
      await this.once(key, id, () => this.complete(key, uploadId, etags), signal);
      return result;
    } catch (error) {
      // What is left goes when the key is deleted.
      await this.quietly(`An upload to ${key} could not be aborted`, () => this.abort(key, uploadId));
      throw error;
    }
  }

  private async copyPart(
    { key, start, end }: ObjectPart,
    send: (bytes: Buffer, headers?: Record<string, string>) => Promise<void>,
    signal?: AbortSignal,
  ): Promise<void> {
    assertObjectKey(key);
    if (end - start <= SMALLEST_COPY) return send(await buffer(await this.read(key, { start, end }, signal)));
    const source = {
      'x-amz-copy-source': `/${this.config.bucket}/${key}`,
      'x-amz-copy-source-range': `bytes=${start}-${end - 1}`,
    };
    try {
      await send(Buffer.alloc(0), source);
    } catch (error) {
      if (MISSING.has(codeOf(error))) throw new ObjectMissing(key);
      if (codeOf(error) === 'InvalidRange') throw new RangeNotSatisfiable(key, { start, end });
      throw error;
    }
  }

  private async complete(key: string, uploadId: string, etags: readonly string[]): Promise<void> {
    const parts = etags.map((etag, k) => `<Part><PartNumber>${k + 1}</PartNumber><ETag>"${etag}"</ETag></Part>`);
    const request = {
      method: 'POST',
      bucketName: this.config.bucket,
      objectName: key,
      query: `uploadId=${encodeURIComponent(uploadId)}`,
      headers: { 'if-none-match': '*', 'content-type': 'application/xml' },
    };
    const xml = `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${parts.join('')}</CompleteMultipartUpload>`;
    await textOf(await this.requests.client.makeRequestAsync(request, Buffer.from(xml)));
  }

  /**
   * A conditional write, repeated until its outcome is known: an attempt whose answer was lost may be what stands in the
   * way of the next, and is told from others' by its mark.
   */
  private async once(key: string, id: string, write: () => Promise<unknown>, signal?: AbortSignal): Promise<void> {
    await this.requests.repeat(
      async ({ repeated }) => {
        try {
          await write();
        } catch (error) {
          const taken = codeOf(error) === 'PreconditionFailed';
          if (!taken && !(repeated && codeOf(error) === 'NoSuchUpload')) throw error;
          if (repeated && (await this.stat(key))?.put === id) return;
          if (taken) throw new ObjectExists(key);
          throw error;
        }
      },
      { signal, forMs: PATIENTLY_MS },
    );
  }

  private async stat(
    key: string,
  ): Promise<{ sizeBytes: number; sha256: string | null; put: string | undefined } | null> {
    assertObjectKey(key);
    const headers = { 'x-amz-checksum-mode': 'ENABLED' };
    const request = { method: 'HEAD', bucketName: this.config.bucket, objectName: key, headers };
    try {
      const answer = await this.requests.repeat(() => this.requests.client.makeRequestAsyncOmit({ ...request }));
      const checksum = String(answer.headers['x-amz-checksum-sha256'] ?? '');
      // Metadata of what a client put is the client's word.
      const told = key.startsWith(INCOMING) ? undefined : answer.headers['x-amz-meta-sha256'];
      return {
        sizeBytes: Number(answer.headers['content-length']),
        sha256: WHOLE_DIGEST.test(checksum)
          ? Buffer.from(checksum, 'base64').toString('hex')
          : told
            ? String(told)
            : null,
        put: answer.headers['x-amz-meta-put'] as string | undefined,
      };
    } catch (error) {
      if (MISSING.has(codeOf(error))) return null;
      throw error;
    }
  }

  /** Stores list uploads by their whole key, not by a prefix: one key at a time. */
  private async abortUploads(key: string): Promise<void> {
    const { client } = this.requests;
    for (;;) {
      const id = await this.requests.repeat(() => client.findUploadId(this.config.bucket, key));
      if (id === undefined) return;
      await this.abort(key, id);
    }
  }

  private async abort(key: string, uploadId: string): Promise<void> {
    const { client } = this.requests;
    try {
      await this.requests.repeat(() => client.abortMultipartUpload(this.config.bucket, key, uploadId));
    } catch (error) {
      if (codeOf(error) !== 'NoSuchUpload') throw error;
    }
  }

  /** The failure that led here is the one to tell of. */
  private async quietly(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.logger.warn(`${what}: ${(error as Error).message}`);
    }
  }
}

/** Sends one part of a multipart upload; the copied ones have headers and no bytes. */
type SendPart = (number: number, bytes: Buffer, headers?: Record<string, string>) => Promise<void>;

/** All but the last must be so large. */
function areCopyable(parts: readonly ObjectPart[]): boolean {
  const sizes = parts.map(({ start, end }) => end - start);
  return (
    sizes.length <= MOST_PARTS &&
    sizes.every((size, index) => size <= LARGEST_COPY && (size > SMALLEST_COPY || index === sizes.length - 1))
  );
}

/** An answer in XML, which may begin with 200 and still be an error. */
async function textOf(response: IncomingMessage): Promise<string> {
  const answer = await text(response);
  const code = /<Error>[\s\S]*<Code>(\w+)<\/Code>/.exec(answer)?.[1];
  if (code) throw Object.assign(new Error(`The object store could not finish: ${code}.`), { code });
  return answer;
}

function corsRule(origins: '*' | readonly string[]): string {
  const rule = [
    `<ID>${CORS_RULE}</ID>`,
    ...[origins].flat().map((origin) => `<AllowedOrigin>${origin}</AllowedOrigin>`),
    ...['GET', 'HEAD', 'PUT'].map((method) => `<AllowedMethod>${method}</AllowedMethod>`),
    '<AllowedHeader>*</AllowedHeader>',
    ...['ETag', 'x-amz-checksum-sha256'].map((name) => `<ExposeHeader>${name}</ExposeHeader>`),
    '<MaxAgeSeconds>3600</MaxAgeSeconds>',
  ].join('');
  return `<CORSConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><CORSRule>${rule}</CORSRule></CORSConfiguration>`;
}

/** Memory of parts that were sent. Fresh memory would be given back in collections of the whole heap alone. */
const spare: Buffer[] = [];
let unused: NodeJS.Timeout | undefined;

/** Only of what the store answered for: an attempt that was given up may still be sending. */
function spareAgain(part: Buffer): void {
  const whole = part.byteOffset === 0 && part.buffer.byteLength === SMALLEST_PART;
  if (!whole || spare.length >= MOST_SPARE) return;
  spare.push(Buffer.from(part.buffer));
  clearTimeout(unused);
  unused = setTimeout(() => spare.splice(0), SPARE_MS).unref();
}

/** What is gathered of a part: as it came while it is small, so that many small ones take little. */
class Part {
  private held: Buffer[] = [];
  private whole: Buffer | undefined;
  private length = 0;

  constructor(private readonly size: number) {}

  get isFull(): boolean {
    return this.length === this.size;
  }

  get isEmpty(): boolean {
    return this.length === 0;
  }

  /** @returns what does not fit */
  add(chunk: Buffer): Buffer {
    const fits = chunk.subarray(0, this.size - this.length);
    if (!this.whole && this.length + fits.length > SMALL_PART) {
      this.whole = (this.size === SMALLEST_PART && spare.pop()) || Buffer.allocUnsafeSlow(this.size);
      let at = 0;
      for (const bytes of this.held) at += bytes.copy(this.whole, at);
      this.held = [];
    }
    if (this.whole) fits.copy(this.whole, this.length);
    else this.held.push(fits);
    this.length += fits.length;
    return chunk.subarray(fits.length);
  }

  bytes(): Buffer {
    return this.whole?.subarray(0, this.length) ?? Buffer.concat(this.held);
  }
}

/**
 * A body as parts of equal size but the last, with what it was to be checked at its end. A body of less than one part is one.
 * @returns how much it was
 */
async function* partsOf(key: string, body: Readable, expected: PutOptions): AsyncGenerator<Buffer, StoredBytes> {
  const { sizeBytes, sha256, signal } = expected;
  const partSize = Math.max(SMALLEST_PART, Math.ceil((sizeBytes ?? 0) / MOST_PARTS));
  const hash = createHash('sha256');
  let received = 0;
  let part = new Part(partSize);
  for await (const chunk of body as AsyncIterable<Buffer>) {
    signal?.throwIfAborted();
    received += chunk.length;
    if (sizeBytes !== undefined && received > sizeBytes) throw new SizeMismatch(key, sizeBytes, 'more');
    hash.update(chunk);
    for (let rest = chunk; rest.length > 0; ) {
      rest = part.add(rest);
      if (!part.isFull) continue;
      yield part.bytes();
      part = new Part(partSize);
    }
  }
  if (sizeBytes !== undefined && received !== sizeBytes) throw new SizeMismatch(key, sizeBytes, String(received));
  const digest = hash.digest('hex');
  if (sha256 !== undefined && sha256 !== digest) throw new DigestMismatch(key);
  if (!part.isEmpty) yield part.bytes();
  return { sizeBytes: received, sha256: digest };
}
