import { playbackTests } from '../e2e/played.js';
import { startCluster } from '../support/index.js';

/** The same as test/e2e/playback.test.ts, with processes by role on MinIO behind the edge. */
playbackTests(() => startCluster({ apis: 2, workers: 2, store: 'minio' }));
