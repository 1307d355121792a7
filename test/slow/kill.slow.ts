import { killTests, type Point } from '../faults/kills.js';
import { type Cluster, type ClusterProcess, startCluster, until } from '../support/index.js';

/** The same as test/faults/kill.test.ts, with processes by role on MinIO behind the edge. */

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster({ apis: 2, workers: 2, store: 'minio' });
}, 240_000);
afterAll(() => cluster?.remove());

async function victim(point: Point): Promise<ClusterProcess> {
  switch (point.what) {
    case 'commit':
      return cluster.answeredLast();
    case 'encode':
      return (await until(
        () => cluster.workerWith('EncodePiece'),
        (worker) => worker !== undefined,
        20,
      )) as ClusterProcess;
    default:
      return cluster.connectedAs(point.at);
  }
}

killTests(() => ({
  ...cluster,
  kill: async (point) => {
    const process = await victim(point);
    expect(process.role).toBe(point.what === 'commit' ? 'api' : 'worker');
    await process.kill();
    await process.start();
  },
}));
