/** What a process has of one client's points in the window that runs. */
export interface Purse {
  left: number;
  /** In Redis, when the last parcel was taken. */
  remaining: number;
  /** Redis has nothing more. */
  isLast: boolean;
  readonly resetAt: number;
}

/** What was taken for a purse: less than was wanted, where it is the last. */
export interface Parcel {
  readonly taken: number;
  readonly isLast: boolean;
  readonly remaining: number;
  readonly resetAt: number;
}

/** An attacker with a /48 has 65,536 addresses that count; what is forgotten is but a parcel lost. */
const MOST = 50_000;

/** The purses of one limit, by client. */
export class Purses {
  private readonly purses = new Map<string, Purse>();
  private readonly filling = new Map<string, Promise<void>>();

  find(key: string): Purse | undefined {
    const purse = this.purses.get(key);
    return purse && purse.resetAt > Date.now() ? purse : undefined;
  }

  /** Takes a parcel, or waits for the one that is being taken. */
  fill(key: string, take: () => Promise<Parcel>): Promise<void> {
    let filling = this.filling.get(key);
    if (!filling) {
      filling = take()
        .then((parcel) => this.put(key, parcel))
        .finally(() => this.filling.delete(key));
      this.filling.set(key, filling);
    }
    return filling;
  }

  private put(key: string, { taken, remaining, isLast, resetAt }: Parcel): void {
    const left = (this.find(key)?.left ?? 0) + taken;
    // The newest go last, and windows are alike, so whatever has ended is in front.
    this.purses.delete(key);
    for (const [oldest, purse] of this.purses) {
      if (purse.resetAt > Date.now() && this.purses.size < MOST) break;
      this.purses.delete(oldest);
    }
    this.purses.set(key, { left, remaining, isLast, resetAt });
  }
}
