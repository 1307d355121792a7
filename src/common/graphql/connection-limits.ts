/** How many connections of each kind one caller holds in this process. */
export class ConnectionLimits {
  private readonly open = new Map<string, number>();

  /** @returns what gives the place back, to be called once; null when the caller has `max` already */
  take(caller: string, max: number): (() => void) | null {
    const count = this.open.get(caller) ?? 0;
    if (count >= max) return null;
    this.open.set(caller, count + 1);
    return () => {
      const left = (this.open.get(caller) ?? 1) - 1;
      if (left > 0) this.open.set(caller, left);
      else this.open.delete(caller);
    };
  }
}

/** A bound on those who are not signed in, as RATE_LIMIT_FACTOR raises it: 0 takes it away. */
export const raised = (bound: number, factor: number): number =>
  factor === 0 ? Number.POSITIVE_INFINITY : bound * factor;
