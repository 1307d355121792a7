/** What is shown of something, and who is told when that changes: what `useSyncExternalStore` takes. */
export abstract class Shown<View> {
  private readonly listeners = new Set<() => void>();

  protected constructor(protected view: View) {}

  readonly read = (): View => this.view;
  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  protected tell(): void {
    for (const listener of this.listeners) listener();
  }
}
