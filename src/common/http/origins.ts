import type { Config } from '../config/index.js';

/** Whether pages of this origin may talk to us. What sends no Origin header is not a page. */
export function allowsOrigin(config: Pick<Config, 'publicUrl' | 'corsOrigins'>, origin: string | undefined): boolean {
  if (origin === undefined || config.corsOrigins === '*') return true;
  return origin === new URL(config.publicUrl).origin || config.corsOrigins.includes(origin);
}
