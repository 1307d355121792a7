import type { Config } from '../common/config/index.js';
import { addressArea } from './address.js';
import { type Area, examine, type Outcome } from './check.js';
import { databaseArea } from './database.js';
import { mailArea } from './mail.js';
import { mediaArea } from './media.js';
import { placeArea } from './place.js';
import { redisArea } from './redis.js';
import { diskChecks, storeArea } from './store.js';

export { type Finding, findingsOf, type Outcome } from './check.js';
export { inLines, type Paint } from './report.js';

/** Looks at everything that a configuration leads to, area by area; takes some seconds, and at most a few minutes. */
export async function examineAll(config: Config, migrations: string): Promise<Outcome[]> {
  // An S3 store that objects are not written to is none to be looked at.
  const looked = config.storage === 'disk' ? { ...config, s3: null } : config;
  const outcomes = await Promise.all(areasOf(looked, migrations).map((area) => examine(area)));
  return outcomes.flat();
}

function areasOf(config: Config, migrations: string): Area[] {
  const { s3 } = config;
  const address = addressArea(config);
  const disk = s3 ? null : diskChecks(config);
  return [
    placeArea(config),
    databaseArea(config, migrations),
    redisArea(config),
    // Uploads to disk go through PUBLIC_URL: what keeps that from working is no fault of the store.
    disk ? { ...address, checks: [...address.checks, ...disk.checks], close: disk.close } : address,
    ...(s3 ? [storeArea({ ...config, s3 })] : []),
    // Processes that only answer requests have no media to open.
    ...(config.role === 'api' ? [] : [mediaArea(config)]),
    ...(config.smtp ? [mailArea(config)] : []),
  ];
}
