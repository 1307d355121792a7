import { readFileSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { type EventLoopUtilization, performance } from 'node:perf_hooks';
import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { collectDefaultMetrics } from 'prom-client';
import { CONFIG, type Config } from '../config/index.js';
import { counter, gauge, registry } from './metric.js';
import { OnScrape } from './on-scrape.js';

const build = gauge('sluice_build_info', 'Always 1; the labels say what runs', { version: [], node: [], role: [] });
const loop = counter('sluice_event_loop_seconds_total', 'Time that the event loop worked, and that it waited', {
  state: ['active', 'idle'],
});
const free = gauge('sluice_data_dir_free_bytes', 'Free on the disk of DATA_DIR, as this process may use it');
const size = gauge('sluice_data_dir_size_bytes', 'The size of the disk of DATA_DIR');

let hasDefaults = false;

/** What this process itself is and uses. */
@Injectable()
export class ProcessMetrics implements OnModuleInit {
  private seen: EventLoopUtilization = { active: 0, idle: 0, utilization: 0 };

  constructor(@Inject(CONFIG) private readonly config: Config) {}

  onModuleInit(): void {
    // Applications of one process (in tests) share its registry.
    if (!hasDefaults) collectDefaultMetrics({ register: registry });
    hasDefaults = true;
    const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '../../../package.json'), 'utf8'));
    build.set({ version, node: process.versions.node, role: this.config.role }, 1);
  }

  @OnScrape({ sets: [] })
  countLoop(): void {
    const now = performance.eventLoopUtilization();
    loop.inc({ state: 'active' }, (now.active - this.seen.active) / 1000);
    loop.inc({ state: 'idle' }, (now.idle - this.seen.idle) / 1000);
    this.seen = now;
  }

  @OnScrape({ sets: [free, size], everyMs: 5_000 })
  async measureDisk(): Promise<void> {
    const { bavail, blocks, bsize } = await statfs(this.config.dataDir);
    free.set(bavail * bsize);
    size.set(blocks * bsize);
  }
}
