import { Counter, Gauge, Histogram, Registry } from 'prom-client';

/**
 * This process's metrics. They are made where a file is loaded, as loggers are, and not injected: what is counted is
 * the process's, and code that no module holds counts too. docs/operations/observability.md says what each means; a test
 * compares.
 */
export const registry = new Registry();

export type { Counter, Gauge, Histogram };

type Labels<Name extends string> = Readonly<Record<Name, readonly string[]>>;

/**
 * @param name ends in its unit and `_total`
 * @param labels their names, each with the values that are known beforehand: those are shown as 0 from the start, so that
 * a first increase is seen as one. Values come from the code, never from a client.
 */
export function counter<Name extends string = never>(
  name: string,
  help: string,
  labels: Labels<Name> = {} as Labels<Name>,
): Counter<Name> {
  const made = new Counter({ name, help, labelNames: Object.keys(labels) as Name[], registers: [registry] });
  for (const values of combinations(labels)) made.inc(values, 0);
  return made;
}

/** @param labels as for counters */
export function gauge<Name extends string = never>(
  name: string,
  help: string,
  labels: Labels<Name> = {} as Labels<Name>,
): Gauge<Name> {
  const made = new Gauge({ name, help, labelNames: Object.keys(labels) as Name[], registers: [registry] });
  for (const values of combinations(labels)) made.set(values, 0);
  return made;
}

export function histogram<Name extends string = never>(
  name: string,
  help: string,
  buckets: readonly number[],
  labels: readonly Name[] = [],
): Histogram<Name> {
  return new Histogram({ name, help, labelNames: [...labels], buckets: [...buckets], registers: [registry] });
}

/** Replaces all of a gauge's values; what is not among them is no longer shown. */
export function replace<Name extends string>(
  target: Gauge<Name>,
  readings: readonly { labels: Record<Name, string>; value: number }[],
): void {
  clear(target);
  for (const { labels, value } of readings) target.set(labels, value);
}

/** A gauge with whatever labels. */
export interface Clearable {
  reset(): void;
  remove(): void;
}

/** It has no value then, not 0. */
export function clear(target: Clearable): void {
  target.reset();
  // A reset one without labels would be 0.
  if ((target as unknown as { labelNames: string[] }).labelNames.length === 0) target.remove();
}

/** Nothing where a label has no value that is known beforehand. */
function combinations<Name extends string>(labels: Labels<Name>): Record<Name, string>[] {
  return Object.entries<readonly string[]>(labels).reduce(
    (before, [name, values]) => before.flatMap((one) => values.map((value) => ({ ...one, [name]: value }))),
    [{} as Record<Name, string>],
  );
}
