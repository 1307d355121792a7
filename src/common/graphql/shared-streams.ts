import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import type { ExecutionArgs, ExecutionResult } from 'graphql';
import type { EventStream, LiveEvent, LiveTopic, Place } from '../live/index.js';
import { Loaders } from './loaders.js';
import type { OperationContext } from './operation-context.js';
import { sharedOperation } from './same-for-all.js';

/** Others have their turn after so many: some 3 ms. */
const AT_A_TIME = 250;
/** Who asks for an event later than that gets what it is by then. */
const JOINT_MS = 1_000;
/** What failed for a reason that may pass is tried so often before all are told. */
const TRIES = 3;
const AGAIN_MS = 1_000;

/** What everybody gets of one event, in the forms that transports want: each made once. */
export class SharedResult {
  private socketTail: string | undefined;
  private eventFrame: Buffer | undefined;

  constructor(private readonly json: string) {}

  /** What follows `{"id":"…"` in a message of graphql-transport-ws. */
  get tail(): string {
    this.socketTail ??= `,"type":"next","payload":${this.json}}`;
    return this.socketTail;
  }

  /** A server-sent event of graphql-sse. */
  get frame(): Buffer {
    this.eventFrame ??= Buffer.from(`event: next\ndata: ${this.json}\n\n`);
    return this.eventFrame;
  }
}

/** Where one subscriber's results are written to. */
export interface Outlet {
  /** Ends the connection of whoever reads too slowly. `written` is called when it has left, or never will. */
  write(result: SharedResult, written?: () => void): void;
}

type Run = (event: LiveEvent) => Promise<ExecutionResult>;

/**
 * Subscriptions that are the same operation on the same topic, and the same for everybody: each event is executed and serialised
 * once for all of them (docs/decisions/0023-event-streams.md). Whether one may listen has been asked for each.
 */
export class SharedStreams {
  private readonly groups = new WeakMap<LiveTopic, Map<string, Group>>();

  /** @param execute one event, in a context of nobody in particular */
  constructor(private readonly execute: (args: ExecutionArgs) => Promise<ExecutionResult>) {}

  /** @returns an iterator that gives nothing but how it ended; null when the operation is to be executed for each */
  join(args: ExecutionArgs, stream: EventStream, outlet: Outlet): AsyncIterator<never> | null {
    const { schema, document, operationName } = args;
    const operation = sharedOperation(schema, document);
    if (!operation) return null;
    const { variableValues } = args;
    const given = operation.variables.map((name) => [name, variableValues?.[name]]);
    // Documents are kept by their text, so the same text is mostly the same document: if not, it is one group more.
    const key = `${numberOf(document)} ${JSON.stringify(Object.fromEntries(given))}`;
    const groups = this.groups.get(stream.topic) ?? new Map<string, Group>();
    this.groups.set(stream.topic, groups);
    let group = groups.get(key);
    if (!group) {
      // With the first one's cursor: it may have to be there, and makes no difference.
      const run: Run = (event) =>
        this.execute({ schema, document, operationName, variableValues, rootValue: event, contextValue: nobody() });
      group = new Group(stream.topic, run, () => groups.delete(key));
      groups.set(key, group);
    }
    return new Member(stream, group, outlet);
  }
}

const nobody = (): OperationContext => ({
  actor: null,
  badToken: false,
  loaders: new Loaders(),
  ip: '',
  userAgent: null,
});

const numbers = new WeakMap<object, number>();
let last = 0;
function numberOf(document: object): number {
  const number = numbers.get(document) ?? ++last;
  numbers.set(document, number);
  return number;
}

class Group {
  private readonly members = new Set<Member>();
  /** `at`: when it was there, on the monotonic clock. */
  private readonly results = new WeakMap<LiveEvent, { readonly result: Promise<SharedResult>; at: number }>();
  private isPumping = false;
  /** Members, and those who are still reading what they missed. */
  private users = 0;

  constructor(
    private readonly topic: LiveTopic,
    private readonly run: Run,
    private readonly forget: () => void,
  ) {}

  enter(): void {
    this.users++;
  }

  exit(): void {
    if (--this.users === 0) this.forget();
  }

  /** What it is now: the same for all who ask at about the same time. */
  resultOf(event: LiveEvent): Promise<SharedResult> {
    const known = this.results.get(event);
    if (known && performance.now() - known.at < JOINT_MS) return known.result;
    const made = { result: this.make(event), at: Number.POSITIVE_INFINITY };
    this.results.set(event, made);
    const isThere = () => {
      made.at = performance.now();
    };
    void made.result.then(isThere, isThere);
    return made.result;
  }

  private async make(event: LiveEvent): Promise<SharedResult> {
    for (let tries = 1; ; tries++) {
      const result = await this.run(event);
      if (!result.errors) return new SharedResult(JSON.stringify(result));
      const mayPass = result.errors.some(({ extensions }) => extensions.code === 'INTERNAL');
      if (mayPass && tries < TRIES) await sleep(AGAIN_MS);
      else {
        // Who comes back for it gets another try.
        this.results.delete(event);
        return new SharedResult(JSON.stringify(result));
      }
    }
  }

  /** @param place where the member stands: the end of what there is */
  add(member: Member, place: Place): void {
    member.joinedAt = place;
    this.members.add(member);
    if (this.isPumping) return;
    this.pump(place).catch((error) => {
      for (const each of this.members) each.fail(error);
    });
  }

  remove(member: Member): void {
    this.members.delete(member);
  }

  /**
   * One event after the other, each to all.
   * @param place changes: the place where it began must not be held, since all that follows hangs on it
   */
  private async pump(place: Place): Promise<void> {
    this.isPumping = true;
    try {
      while (this.members.size > 0) {
        const { kept, next } = place;
        if (kept && next) {
          await this.send(place, await this.resultOf(kept.event));
          place = next;
        } else if (this.topic.isOver) {
          for (const member of this.members) member.leave(place);
        } else {
          const standing = await this.topic.arrival();
          if (standing && !place.kept) await this.send(place, await this.resultOf(standing));
        }
      }
    } finally {
      this.isPumping = false;
    }
  }

  private async send(place: Place, result: SharedResult): Promise<void> {
    let sent = 0;
    // Who joins meanwhile stands behind this event; who leaves is not met any more.
    for (const member of this.members) {
      if (member.take(place, result) && ++sent % AT_A_TIME === 0) await setImmediate();
    }
  }
}

/** One subscriber: reads for itself what it missed, then is written to by the group. */
class Member implements AsyncIterator<never> {
  /** What happened before this place it has had. */
  joinedAt: Place | null = null;
  private isReading = false;
  private hasBegun = false;
  private end: { resolve: (result: IteratorResult<never>) => void; reject: (error: unknown) => void };
  private readonly ended = new Promise<IteratorResult<never>>((resolve, reject) => {
    this.end = { resolve, reject };
  });

  constructor(
    private readonly stream: EventStream,
    private readonly group: Group,
    private readonly outlet: Outlet,
  ) {
    group.enter();
    stream.whenOver(() => {
      group.exit();
      this.leave();
    });
  }

  /** False when this is none of its events. */
  take(place: Place, result: SharedResult): boolean {
    if (this.joinedAt && this.joinedAt !== place) return false;
    this.joinedAt = null;
    try {
      if (this.stream.isInDoubt) this.leave(place);
      else this.outlet.write(result);
    } catch (error) {
      this.fail(error);
    }
    return true;
  }

  fail(error: unknown): void {
    this.group.remove(this);
    this.end.reject(error);
    void this.stream.return();
  }

  /** It reads for itself again, to learn how the stream ended, or to go on from `place` when it may. */
  leave(place?: Place): void {
    this.group.remove(this);
    if (place) this.stream.goOnAt(place);
    if (this.hasBegun && !this.isReading) void this.read();
  }

  private async read(): Promise<void> {
    this.isReading = true;
    try {
      for (;;) {
        const place = this.stream.rest();
        if (place) return this.group.add(this, place);
        const next = await this.stream.nextMissed();
        if (next?.done) return this.end.resolve({ value: undefined, done: true });
        if (!next) continue;
        const result = await this.group.resultOf(next.value as LiveEvent);
        await new Promise<void>((resolve) => this.outlet.write(result, resolve));
      }
    } catch (error) {
      this.fail(error);
    } finally {
      this.isReading = false;
    }
  }

  /** Begins with the first call: who asks can be told of the end. */
  next(): Promise<IteratorResult<never>> {
    if (!this.hasBegun) {
      this.hasBegun = true;
      void this.read();
    }
    return this.ended;
  }

  async return(): Promise<IteratorResult<never>> {
    await this.stream.return();
    return { value: undefined, done: true };
  }
}
