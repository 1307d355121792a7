export interface Turn {
  /** Calls back when there is a place; at once where there is one now. */
  take(go: () => void): void;
  leave(): void;
}

/** So many may go on at once; the others wait in the order in which they came. */
export class Places {
  private readonly waiting: (() => void)[] = [];

  constructor(private free: number) {}

  /** One that may ask for a place, leave it, and ask again. */
  turn(): Turn {
    let held = false;
    let asked: (() => void) | null = null;
    return {
      take: (go) => {
        if (held || asked) return;
        asked = () => {
          asked = null;
          held = true;
          this.free--;
          go();
        };
        this.waiting.push(asked);
        this.next();
      },
      leave: () => {
        if (asked) this.waiting.splice(this.waiting.indexOf(asked), 1);
        asked = null;
        if (held) this.free++;
        held = false;
        this.next();
      },
    };
  }

  private next(): void {
    while (this.free > 0 && this.waiting.length > 0) this.waiting.shift()?.();
  }
}
