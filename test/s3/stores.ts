import { randomUUID } from 'node:crypto';
import type { S3Config } from '../../src/common/config/index.js';
import { type ObjectStore, type StoreName, s3Of, startStore } from '../support/object-store.js';

const { S3_TEST_ENDPOINT, S3_TEST_ACCESS_KEY, S3_TEST_SECRET_KEY, S3_TEST_REGION = 'us-east-1' } = process.env;

/** An operator's own, or those that we build. */
export const STORES: readonly (StoreName | 'yours')[] = S3_TEST_ENDPOINT ? ['yours'] : ['minio', 'versitygw'];

/** A store and a name for a bucket in it that nobody has made. */
export async function storeToTest(name: StoreName | 'yours'): Promise<{ config: S3Config; store: ObjectStore | null }> {
  const bucket = `sluice-test-${randomUUID()}`;
  if (name !== 'yours') {
    const store = await startStore(name);
    return { config: s3Of(store, { bucket }), store };
  }
  if (!S3_TEST_ENDPOINT || !S3_TEST_ACCESS_KEY || !S3_TEST_SECRET_KEY) {
    throw new Error('S3_TEST_ACCESS_KEY and S3_TEST_SECRET_KEY must be set, since S3_TEST_ENDPOINT is.');
  }
  const config = {
    endpoint: S3_TEST_ENDPOINT,
    publicEndpoint: S3_TEST_ENDPOINT,
    bucket,
    region: S3_TEST_REGION,
    accessKey: S3_TEST_ACCESS_KEY,
    secretKey: S3_TEST_SECRET_KEY,
    pathStyle: true,
  };
  return { config, store: null };
}
