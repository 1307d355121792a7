/** What was read a moment ago: asked for again within `lifeMs` of that it is not read again. Failures are not kept. */
export class Recent<Value> {
  private readonly entries = new Map<string, { readonly value: Promise<Value>; readonly until: number }>();

  constructor(
    private readonly lifeMs: number,
    private readonly read: (key: string) => Promise<Value>,
    private readonly limit = 10_000,
  ) {}

  get(key: string): Promise<Value> {
    const now = performance.now();
    const known = this.entries.get(key);
    if (known && known.until > now) return known.value;
    // Counted from before the reading, so that no answer is older than `lifeMs`, however long the reading took.
    const entry = { value: this.read(key), until: now + this.lifeMs };
    entry.value.catch(() => {
      if (this.entries.get(key) === entry) this.entries.delete(key);
    });
    this.entries.delete(key);
    this.entries.set(key, entry);
    this.forget(now);
    return entry.value;
  }

  /** What was read of this key is out of date. A reading that is under way is not kept either. */
  drop(key: string): void {
    this.entries.delete(key);
  }

  /** A map remembers the order of insertion, so the oldest come first. */
  private forget(now: number): void {
    for (const [key, { until }] of this.entries) {
      if (until > now && this.entries.size <= this.limit) return;
      this.entries.delete(key);
    }
  }
}
