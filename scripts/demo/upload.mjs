import { createHash, randomUUID } from 'node:crypto';
import { open } from 'node:fs/promises';
import { basename, extname } from 'node:path';
import { ApiError, patiently } from './api.mjs';

/** Chunks that are signed, sent and committed together, and how many of them are sent at once. */
const BATCH = 6;
const AT_ONCE = 3;
const TYPES = { '.mp4': 'video/mp4', '.mov': 'video/quicktime', '.mkv': 'video/x-matroska', '.webm': 'video/webm' };

/**
 * Uploads a file in checksummed chunks: each batch is hashed, signed, sent to where the answer says, and committed with
 * the call that signs the next one. Answers that get lost are asked for again, which changes nothing twice.
 * @param onBytes called with the bytes that are stored so far
 */
export async function upload(api, { path, channelId, title, visibility, onBytes }) {
  const file = await open(path);
  try {
    const { size: sizeBytes } = await file.stat();
    const begun = performance.now();
    const { session } = await api.mutate(
      'createUploadSession',
      'CreateUploadSessionInput',
      {
        channelId,
        fileName: basename(path),
        sizeBytes,
        contentType: TYPES[extname(path).toLowerCase()] ?? null,
        title,
        visibility,
        idempotencyKey: randomUUID(),
      },
      'session { id video { id } chunkSize { recommendedBytes } }',
    );
    const whole = createHash('sha256');
    let stored = [];
    let bytes = 0;
    for (let offset = 0; offset < sizeBytes; ) {
      const batch = [];
      while (batch.length < BATCH && offset < sizeBytes) {
        const body = Buffer.alloc(Math.min(session.chunkSize.recommendedBytes, sizeBytes - offset));
        const { bytesRead } = await file.read(body, 0, body.length, offset);
        if (bytesRead < body.length) throw new Error(`${path} became shorter while it was read.`);
        whole.update(body);
        batch.push({ offset, sizeBytes: body.length, sha256: createHash('sha256').update(body).digest('hex'), body });
        offset += body.length;
      }
      const targets = await commit(api, session.id, stored, batch);
      const waiting = [...batch];
      const send = async () => {
        for (let chunk = waiting.shift(); chunk; chunk = waiting.shift()) {
          await put(
            api,
            session.id,
            chunk,
            targets.find((target) => target.offset === chunk.offset),
          );
          bytes += chunk.sizeBytes;
          onBytes(bytes, sizeBytes);
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, send));
      stored = batch;
    }
    const lastByteAt = performance.now();
    await commit(api, session.id, stored, []);
    const sha256 = whole.digest('hex');
    await api.mutate(
      'completeUploadSession',
      'CompleteUploadSessionInput',
      { sessionId: session.id, sha256 },
      'session { state }',
    );
    return { videoId: session.video.id, sizeBytes, sha256, uploadMs: Math.round(lastByteAt - begun), lastByteAt };
  } finally {
    await file.close();
  }
}

/** Says what is stored and asks where the next go. */
async function commit(api, sessionId, stored, next) {
  const named = (chunks) => chunks.map(({ offset, sizeBytes, sha256 }) => ({ offset, sizeBytes, sha256 }));
  const { results, targets } = await api.mutate(
    'commitChunks',
    'CommitChunksInput',
    { sessionId, stored: named(stored), next: named(next) },
    'results { outcome code message } targets { offset method url headers { name value } }',
  );
  const refused = results.find((result) => result.outcome === 'REFUSED');
  if (refused) throw new ApiError(refused.code, refused.message);
  return targets;
}

async function put(api, sessionId, chunk, target) {
  await patiently(async (attempt) => {
    // An address may have run out meanwhile.
    const { method, url, headers } = attempt === 1 ? target : (await commit(api, sessionId, [], [chunk]))[0];
    const response = await fetch(url, {
      method,
      headers: Object.fromEntries(headers.map(({ name, value }) => [name, value])),
      body: chunk.body,
      signal: AbortSignal.timeout(300_000),
    });
    await response.arrayBuffer();
    // 412: it is there already, from an attempt whose answer was lost.
    if (!response.ok && response.status !== 412) throw new Error(`The store answered ${response.status}.`);
  });
}
