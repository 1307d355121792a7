import { rm } from 'node:fs/promises';
import { type Probe, pictureSpans, pieceWindow, timing } from '../../src/modules/media/index.js';
import { ObjectStorage } from '../../src/modules/storage/index.js';
import { Scratch } from '../../src/modules/transcoding/scratch.js';
import { SourceFiles } from '../../src/modules/transcoding/source-files.js';
import { UploadedFiles } from '../../src/modules/uploads/index.js';
import { clip, decodedFrames, joined, uploaded } from '../integration/transcoding-clips.js';
import { startApp, type TestApp, temporaryFolder, until } from '../support/index.js';
import { s3Of, startStore } from '../support/object-store.js';

/** Workers on S3 read what they need of an original, and not all of it. */

const FRAMES = 1500;

it('a worker reads the index and its piece; all pieces together little more than the file', async () => {
  const store = await startStore('minio');
  const folder = await temporaryFolder();
  let app: TestApp | undefined;
  try {
    const more = ['-vf', 'noise=alls=24:allf=t', '-b:v', '1M', '-g', '50'];
    const film = await clip(folder, 'film.mp4', { frames: FRAMES, fps: '25', size: '320x240', more });
    app = await startApp({ storage: 's3', s3: s3Of(store), encodeConcurrency: 2 });
    const storage = app.get(ObjectStorage);
    const read = storage.read.bind(storage);
    let bytes = 0;
    storage.read = async (key, range, signal) => {
      const stream = await read(key, range, signal);
      if (key.startsWith('masters/')) stream.on('data', (chunk: Buffer) => (bytes += chunk.length));
      return stream;
    };

    const { videoId, globalId, owner } = await uploaded(app, film);
    await until(
      async () => (await owner.video(globalId)).state,
      (state) => state === 'READY',
    );
    const file = await app.get(UploadedFiles).ofVideo(videoId);
    if (!file) throw new Error('The film is gone.');
    expect(await decodedFrames(await joined(app, videoId, '240p', folder))).toBe(FRAMES);
    expect(bytes).toBeLessThan(1.25 * file.sizeBytes);

    // Another machine, which makes the third piece and nothing else.
    bytes = 0;
    const [row] = await app.database.query<{ probe: Probe }>('SELECT probe FROM transcode_source WHERE video_id = $1', [
      videoId,
    ]);
    const times = timing(row?.probe as Probe);
    const { from, until: end } = pieceWindow(times, 6 * times.segmentFrames, 3 * times.segmentFrames);
    const { signal } = new AbortController();
    const scratch = new Scratch(storage, { ...app.config, dataDir: folder });
    await new SourceFiles(storage, app.get(UploadedFiles), scratch).during(
      file,
      (index) => pictureSpans(index, from, end),
      signal,
      async () => undefined,
    );
    process.stderr.write(`One piece of five: ${bytes} of ${file.sizeBytes} bytes were read.\n`);
    expect(bytes).toBeGreaterThan(0.1 * file.sizeBytes);
    expect(bytes).toBeLessThan(0.4 * file.sizeBytes);
    await scratch.onApplicationShutdown();
  } finally {
    await app?.stop();
    await store.remove();
    await rm(folder, { recursive: true });
  }
}, 120_000);
