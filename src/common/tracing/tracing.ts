import { AsyncLocalStorage } from 'node:async_hooks';
import { logContext, noteInLog } from '../logging/index.js';

export type Attributes = Record<string, string | number | boolean | string[]>;

/** A span that has begun. */
export interface Span {
  /** 16 hexadecimal digits. */
  readonly id: string;
  set(attributes: Attributes): void;
  fail(error: unknown): void;
  end(): void;
}

/** What makes spans and sends them. One adapter: OpenTelemetry, loaded only where it is configured. */
export interface SpanMaker {
  begin(span: {
    name: string;
    traceId: string;
    /** Null: it is the trace's first. */
    parentId: string | null;
    /** Chosen, where others must know it; else random. */
    id?: string;
    startedAt?: Date;
    attributes: Attributes;
    /** The caller's own trace. */
    traceparent?: string;
  }): Span;
  /** Sends what is left, within bounds. */
  stop(): Promise<void>;
}

interface Active {
  readonly traceId: string;
  readonly span: Span;
}

const active = new AsyncLocalStorage<Active>();
const NOTHING: Span = { id: '', set: () => undefined, fail: () => undefined, end: () => undefined };
let maker: SpanMaker | null = null;

export function setSpanMaker(next: SpanMaker | null): void {
  maker = next;
}

/**
 * An upload's trace has the id of its video, without the hyphens, and its first span the last half of that. So whoever
 * knows the video can add to its trace, in any process and at any time, and nothing has to be stored or passed on for it.
 */
const traceIdOf = (videoId: string): string => videoId.replaceAll('-', '').toLowerCase();
const firstSpanOf = (traceId: string): string => traceId.slice(16);

/** Writes down the first span of an upload's trace, which began at `startedAt` and ends now. */
export function beginUpload(videoId: string, name: string, startedAt: Date, attributes: Attributes): void {
  const traceId = traceIdOf(videoId);
  noteInLog({ trace_id: traceId });
  const { traceparent } = logContext();
  maker?.begin({ name, traceId, parentId: null, id: firstSpanOf(traceId), startedAt, attributes, traceparent }).end();
}

/** A part of an upload's way, in its trace. Failures are recorded and go on. */
export function traceUpload<T>(
  videoId: string,
  name: string,
  attributes: Attributes,
  work: (span: Span) => Promise<T>,
): Promise<T> {
  const traceId = traceIdOf(videoId);
  noteInLog({ trace_id: traceId });
  if (!maker) return work(NOTHING);
  const outer = active.getStore();
  const parentId = outer?.traceId === traceId ? outer.span.id : firstSpanOf(traceId);
  const { traceparent } = logContext();
  return within(maker.begin({ name, traceId, parentId, attributes, traceparent }), traceId, work);
}

/** A step of whatever part is being done; without one there is nothing to add to. */
export function traceStep<T>(name: string, attributes: Attributes, work: (span: Span) => Promise<T>): Promise<T> {
  const outer = active.getStore();
  if (!maker || !outer) return work(NOTHING);
  const { traceId } = outer;
  return within(maker.begin({ name, traceId, parentId: outer.span.id, attributes }), traceId, work);
}

async function within<T>(span: Span, traceId: string, work: (span: Span) => Promise<T>): Promise<T> {
  try {
    return await active.run({ traceId, span }, () => work(span));
  } catch (error) {
    span.fail(error);
    throw error;
  } finally {
    span.end();
  }
}
