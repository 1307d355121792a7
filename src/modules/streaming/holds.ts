import { gauge } from '../../common/metrics/index.js';

const held = gauge('sluice_media_held_requests', 'Requests that wait for a segment to be made');

/** Counts requests that are kept waiting, so that neither one client nor all together can pile them up. */
export class Holds {
  private readonly ofClient = new Map<string, number>();
  private all = 0;

  constructor(
    private readonly maxOfClient: number,
    private readonly maxOfAll: number,
  ) {}

  /** @returns what to call when the wait is over, once; null when there is no room */
  enter(client: string): (() => void) | null {
    const count = this.ofClient.get(client) ?? 0;
    if (count >= this.maxOfClient || this.all >= this.maxOfAll) return null;
    this.ofClient.set(client, count + 1);
    this.all++;
    held.inc();
    return () => {
      const left = (this.ofClient.get(client) ?? 1) - 1;
      if (left === 0) this.ofClient.delete(client);
      else this.ofClient.set(client, left);
      this.all--;
      held.dec();
    };
  }
}
