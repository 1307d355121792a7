/** One thing that can be wrong. */
export interface Check {
  /** The finding's name: stable, so that scripts and `--ignore` can rely on it. */
  readonly code: string;
  /** What is right when it is not found: a line of the list. */
  readonly right: string;
  /** What to do about it, with the option or the command. */
  readonly todo: string;
  /** Works, but should not stay so. */
  readonly warning?: true;
  /** Without it nothing that follows in its area could be judged. */
  readonly needed?: true;
  /** @returns what is wrong, in a sentence; null: nothing. What it throws is wrong, too. */
  look(): Promise<string | null>;
}

/** Checks that are made one after the other; areas are looked at side by side. */
export interface Area {
  readonly name: string;
  readonly checks: readonly Check[];
  /** Removes what the checks made. */
  close?(): Promise<void>;
}

export interface Finding {
  readonly area: string;
  readonly code: string;
  readonly severity: 'error' | 'warning';
  readonly what: string;
  readonly todo: string;
}

export interface Outcome {
  readonly area: string;
  readonly check: Check;
  /** `skipped`: not to be judged, for something before it is wrong. */
  readonly state: 'right' | 'wrong' | 'skipped';
  readonly what: string | null;
}

const CHECK_MS = 25_000;

/** What hangs is a finding of its check, not a hang of ours. */
export async function examine(area: Area, checkMs = CHECK_MS): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  let blocked = false;
  for (const check of area.checks) {
    if (blocked) {
      outcomes.push({ area: area.name, check, state: 'skipped', what: null });
      continue;
    }
    const what = await inTime(() => check.look(), checkMs);
    outcomes.push({ area: area.name, check, state: what === null ? 'right' : 'wrong', what });
    blocked = what !== null && check.needed === true;
  }
  const left = area.close && (await inTime(() => (area.close as () => Promise<void>)().then(() => null), checkMs));
  if (left) {
    const check = { ...LEFTOVERS, look: async () => left };
    outcomes.push({ area: area.name, check, state: 'wrong', what: left });
  }
  return outcomes;
}

const LEFTOVERS = {
  code: 'DOCTOR_LEFTOVERS',
  right: 'what the doctor wrote is removed',
  todo: 'Run npm run check later: what is registered goes by itself within two hours.',
};

async function inTime(look: () => Promise<string | null>, ms: number): Promise<string | null> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve(`There was no answer within ${ms / 1000} s.`), ms);
  });
  const looked = (async () => look())().catch(inWords);
  try {
    return await Promise.race([looked, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** An error as a sentence: also the ones whose message is empty, and whose reason is in their cause. */
export function inWords(error: unknown): string {
  const { message, code, cause, errors } = error as NodeJS.ErrnoException & { errors?: Error[] };
  const inner = cause ?? errors?.[0];
  const text = message || code || (inner ? inWords(inner) : String(error));
  const whole =
    inner && message ? `${text}: ${(inner as Error).message || (inner as NodeJS.ErrnoException).code}` : text;
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
}

export function findingsOf(outcomes: readonly Outcome[]): Finding[] {
  return outcomes.flatMap(({ area, check, what }) =>
    what === null
      ? []
      : [{ area, code: check.code, severity: check.warning ? 'warning' : 'error', what, todo: check.todo } as const],
  );
}
