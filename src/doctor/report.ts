import { findingsOf, type Outcome } from './check.js';

/** The list for people. `paint` may colour a mark. */
export function inLines(
  outcomes: readonly Outcome[],
  ignored: ReadonlySet<string>,
  paint: Paint = (_, text) => text,
): string {
  const lines: string[] = [];
  let area = '';
  for (const { area: its, check, state, what } of outcomes) {
    if (its !== area) {
      area = its;
      lines.push('', area);
    }
    if (state === 'right') lines.push(`  ${paint('green', '✔')} ${check.right}`);
    else if (state === 'skipped') lines.push(`  ${paint('gray', '–')} not to be judged yet: ${check.right}`);
    else if (ignored.has(check.code)) lines.push(`  ${paint('gray', '–')} ${check.code}, which is ignored: ${what}`);
    else {
      const mark = check.warning ? paint('yellow', '!') : paint('red', '✖');
      lines.push(`  ${mark} ${check.code}: ${what}`, `    → ${check.todo}`);
    }
  }
  const found = findingsOf(outcomes).filter(({ code }) => !ignored.has(code)).length;
  lines.push(
    '',
    found === 0 ? 'Nothing is wrong.' : found === 1 ? 'One thing is wrong.' : `${found} things are wrong.`,
  );
  return `${lines.join('\n').trimStart()}\n`;
}

export type Paint = (colour: 'green' | 'red' | 'yellow' | 'gray', text: string) => string;
