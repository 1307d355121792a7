import { createHash, randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { addAbortSignal, Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { Logger, type OnApplicationShutdown } from '@nestjs/common';
import type { S3Config } from '../../common/config/index.js';
import { assertIncomingKey, assertKeyPrefix, assertObjectKey, INCOMING } from './object-key.js';
import {
  type ByteRange,
  ObjectStorage,
  PRESIGNED_SECONDS,
  type PresignedRequest,
  type PutOptions,
  type StoredBytes,
} from './object-storage.js';
import { S3Read } from './s3-read.js';
import { codeOf, S3Requests } from './s3-requests.js';
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
const DELETE_BATCH = 1000;
const LIST_PAGE = 1000;
const ABORTS_AT_ONCE = 16;
/** base64 of a SHA-256 of the whole object; that of a multipart object has its number of parts behind it. */
const WHOLE_DIGEST = /^[A-Za-z0-9+/]{43}=$/;
const MISSING = new Set(['NoSuchKey', 'NotFound', 'NoSuchObject']);

/** Objects in a bucket of any store that speaks S3, conditional writes included. The bucket exists. */
export class S3Storage extends ObjectStorage implements OnApplicationShutdown {
  private readonly logger = new Logger(S3Storage.name);
  private readonly requests: S3Requests;

  constructor(private readonly config: S3Config) {
    super();
    this.requests = new S3Requests(config);
  }

  onApplicationShutdown(): void {
    this.requests.close();
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

  override async head(key: string): Promise<{ sizeBytes: number; sha256: string | null } | null> {
    const object = await this.stat(key);
    return object && { sizeBytes: object.sizeBytes, sha256: object.sha256 };
  }

  override async read(key: string, range?: ByteRange, signal?: AbortSignal): Promise<Readable> {
    assertObjectKey(key);
    if (range && !(range.start >= 0 && range.start < range.end)) throw new RangeNotSatisfiable(key, range);
    const start = range?.start ?? 0;
    const open = async (from: number, end: number | undefined): Promise<IncomingMessage> => {
      const partial = from > 0 || end !== undefined;
      const headers: Record<string, string> = partial
        ? { range: `bytes=${from}-${end === undefined ? '' : end - 1}` }
        : {};
      const request = { method: 'GET', bucketName: this.config.bucket, objectName: key, headers };
      try {
        return await this.requests.repeat(() => this.requests.client.makeRequestAsync(request, '', [200, 206]), signal);
      } catch (error) {
        if (MISSING.has(codeOf(error))) throw new ObjectMissing(key);
        if (codeOf(error) === 'InvalidRange')
          throw new RangeNotSatisfiable(key, range ?? { start: from, end: end ?? from });
        throw error;
      }
    };
    const first = await open(start, range?.end);
    const end = start + Number(first.headers['content-length']);
    const bytes = new S3Read(first, start, end, (from) => open(from, end));
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
    const { base, path } = this.publicAddress(object.key);
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

  private publicAddress(key: string): { base: URL; path: string } {
    const base = new URL(this.config.publicEndpoint);
    if (this.config.pathStyle) return { base, path: `/${this.config.bucket}/${key}` };
    base.hostname = `${this.config.bucket}.${base.hostname}`;
    return { base, path: `/${key}` };
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
    await this.once(key, id, () => this.requests.client.makeRequestAsyncOmit({ ...request }, bytes), signal);
    return stored;
  }

  private async putParts(
    key: string,
    first: Buffer,
    second: Buffer,
    rest: AsyncGenerator<Buffer, StoredBytes>,
    { sha256, signal }: PutOptions,
  ): Promise<StoredBytes> {
    // Saves the work of a repeated put; what decides is the completion.
    if (await this.stat(key)) throw new ObjectExists(key);
    const { client } = this.requests;
    const { bucket } = this.config;
    const id = randomUUID();
    const metadata = { 'x-amz-meta-put': id, ...(sha256 && { 'x-amz-meta-sha256': sha256 }) };
    // Repeated after an answer that was lost, it leaves an upload behind, which ends with the key's.
    const uploadId = await this.requests.repeat(
      () => client.initiateNewMultipartUpload(bucket, key, { ...metadata }),
      signal,
    );
    try {
      const etags: string[] = [];
      const upload = async (bytes: Buffer): Promise<void> => {
        const query = `partNumber=${etags.length + 1}&uploadId=${encodeURIComponent(uploadId)}`;
        const request = { method: 'PUT', bucketName: bucket, objectName: key, query };
        // A part sent again takes the place of the one before.
        const answer = await this.requests.repeat(() => client.makeRequestAsyncOmit({ ...request }, bytes), signal);
        etags.push(String(answer.headers.etag).replaceAll('"', ''));
      };
      await upload(first);
      await upload(second);
      let part = await rest.next();
      for (; !part.done; part = await rest.next()) await upload(part.value);
      signal?.throwIfAborted();
      await this.once(key, id, () => this.complete(key, uploadId, etags), signal);
      return part.value;
    } catch (error) {
      await this.abortQuietly(key, uploadId);
      throw error;
    }
  }

  /** The answer to a completion may begin with 200 and still be an error. */
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
    const answer = await text(await this.requests.client.makeRequestAsync(request, Buffer.from(xml)));
    const code = /<Error>[\s\S]*<Code>(\w+)<\/Code>/.exec(answer)?.[1];
    if (code) throw Object.assign(new Error(`The object store could not complete the upload: ${code}.`), { code });
  }

  /**
   * A conditional write, repeated until its outcome is known: an attempt whose answer was lost may be what stands in the
   * way of the next, and is told from others' by its mark.
   */
  private async once(key: string, id: string, write: () => Promise<unknown>, signal?: AbortSignal): Promise<void> {
    await this.requests.repeat(async ({ repeated }) => {
      try {
        await write();
      } catch (error) {
        const taken = codeOf(error) === 'PreconditionFailed';
        if (!taken && !(repeated && codeOf(error) === 'NoSuchUpload')) throw error;
        if (repeated && (await this.stat(key))?.put === id) return;
        if (taken) throw new ObjectExists(key);
        throw error;
      }
    }, signal);
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

  /** The failure that led here is the one to tell of; what is left goes when the key is deleted. */
  private async abortQuietly(key: string, uploadId: string): Promise<void> {
    try {
      await this.abort(key, uploadId);
    } catch (error) {
      this.logger.warn(`An upload to ${key} could not be aborted: ${(error as Error).message}`);
    }
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
  let held: Buffer[] = [];
  let heldBytes = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    signal?.throwIfAborted();
    received += chunk.length;
    if (sizeBytes !== undefined && received > sizeBytes) throw new SizeMismatch(key, sizeBytes, 'more');
    hash.update(chunk);
    held.push(chunk);
    heldBytes += chunk.length;
    while (heldBytes >= partSize) {
      const bytes = held.length === 1 && held[0] ? held[0] : Buffer.concat(held);
      held = [bytes.subarray(partSize)];
      heldBytes -= partSize;
      yield bytes.subarray(0, partSize);
    }
  }
  if (sizeBytes !== undefined && received !== sizeBytes) throw new SizeMismatch(key, sizeBytes, String(received));
  const digest = hash.digest('hex');
  if (sha256 !== undefined && sha256 !== digest) throw new DigestMismatch(key);
  if (heldBytes > 0) yield Buffer.concat(held);
  return { sizeBytes: received, sha256: digest };
}
