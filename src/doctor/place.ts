import { stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../common/config/index.js';
import type { Area } from './check.js';
import { equalSecrets, weakSecrets } from './secrets.js';

const GiB = 2 ** 30;
/** A master of an hour, its renditions and the scratch copies of two workers. */
const ENOUGH_BYTES = 5 * GiB;

export function placeArea(config: Config): Area {
  const secrets = {
    TOKEN_SECRET: config.tokenSecret,
    STORAGE_SECRET: config.storageSecret,
    PLAYBACK_SECRET: config.playbackSecret,
  };
  return {
    name: 'place',
    checks: [
      {
        code: 'DISK_SPACE_LOW',
        right: `DATA_DIR has ${ENOUGH_BYTES / GiB} GiB free`,
        todo: 'Free space or enlarge the disk: of a full one uploads and encodings fail, and an embedded database stops.',
        look: async () => {
          const full: string[] = [];
          const seen = new Set<number>();
          // Each may be a mount or a link of its own.
          for (const name of ['', 'postgres', 'redis', 'storage', 'scratch']) {
            const path = join(config.dataDir, name);
            const found = await stat(path).catch(() => null);
            if (!found || seen.has(found.dev)) continue;
            seen.add(found.dev);
            const { bavail, bsize } = await statfs(path);
            const free = bavail * bsize;
            if (free < ENOUGH_BYTES) full.push(`${path} has ${(free / GiB).toFixed(1)} GiB free`);
          }
          return full.length > 0 ? `${full.join(', ')}.` : null;
        },
      },
      {
        code: 'SECRETS_EQUAL',
        right: 'secrets differ from each other',
        todo: 'Give each a value of its own (openssl rand -hex 32), the same on every process.',
        look: async () => {
          const equal = equalSecrets(secrets);
          return equal.length > 0 ? `${equal.join(' and ')} are equal.` : null;
        },
      },
      {
        code: 'SECRET_WEAK',
        right: 'secrets cannot be guessed',
        todo: 'Set a random value (openssl rand -hex 32), the same on every process.',
        look: async () => {
          const weak = weakSecrets(secrets);
          return weak.length > 0 ? `${weak.join(' and ')} could be found by trying.` : null;
        },
      },
    ],
  };
}
