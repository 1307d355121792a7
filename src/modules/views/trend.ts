/**
 * What is watched now, as one number a video: log2 of the sum of 2^(t / H) over its views. A view weighs half of one that
 * comes H later, which holds for every two views for ever: the order of videos changes by views alone, and nothing is
 * decayed by writing. A sum of numbers that large is kept as its logarithm: docs/decisions/0032-views.md.
 */

/** A view weighs half as much after so long. */
const HALF_LIFE_SECONDS = 172_800;
/** 2020-01-01T00:00:00Z, in Unix seconds: keeps numbers small. */
const SINCE = 1_577_836_800;
/** A publication weighs as much as 2^2 views, so that what is new is seen before it has any. */
const PUBLICATION_LOG2 = 2;
/** 2^-64 beside 1 is nothing to a double, and PostgreSQL refuses to raise 2 to what underflows. */
const NEGLIGIBLE = -64;

/** Of so many views at one time. @param views, at SQL of a bigint above 0 and of a timestamptz */
export function trendOfSql(views: string, at: string): string {
  return `((extract(epoch FROM ${at}) - ${SINCE})::float8 / ${HALF_LIFE_SECONDS} + ln((${views})::float8) / ln(2::float8))`;
}

/** @param at SQL of a timestamptz */
export function trendOfPublicationSql(at: string): string {
  return `((extract(epoch FROM ${at}) - ${SINCE})::float8 / ${HALF_LIFE_SECONDS} + ${PUBLICATION_LOG2})`;
}

/** Of what two trends stand for together. @param one, other SQL of a double; named twice each, so better columns than expressions */
export function bothTrendsSql(one: string, other: string): string {
  const [high, low] = [`greatest(${one}, ${other})`, `least(${one}, ${other})`];
  return `(${high} + ln(1 + power(2::float8, greatest(${low} - ${high}, ${NEGLIGIBLE}))) / ln(2::float8))`;
}

/** An aggregate over trends. @param highest SQL of the highest among them */
export function sumOfTrendsSql(trend: string, highest: string): string {
  return `(${highest} + ln(sum(power(2::float8, greatest(${trend} - ${highest}, ${NEGLIGIBLE})))) / ln(2::float8))`;
}
