import { Api, type Operation } from '../../client/src/api/index.js';
import { until } from './client.js';

/** What the server answers to one operation is held back until it is let go, in any order. */
export class HeldApi extends Api {
  holds: string | null = null;
  readonly held: (() => void)[] = [];

  override async request<Data, Variables>(
    operation: Operation<Data, Variables>,
    variables: Variables,
    signal?: AbortSignal,
  ) {
    const answer = await super.request(operation, variables, signal);
    if (operation === this.holds) await new Promise<void>((resolve) => this.held.push(resolve));
    return answer;
  }

  async isHeld(count = 1): Promise<void> {
    await until(
      async () => this.held.length,
      (now) => now >= count,
      20,
    );
  }

  letGo(): void {
    this.holds = null;
    for (const go of this.held.splice(0)) go();
  }
}
