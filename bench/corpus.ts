import { randomFrom } from '../test/support/random.js';

/** A corpus of titles whose answers are known: the same for everybody with the same number of videos. */
export interface CorpusVideo {
  title: string;
  language: string;
  isVisible: boolean;
  views: number;
  ageDays: number;
  durationMs: number;
  channel: number;
}

/** In a title of a hidden video only, so that whatever shows it has shown something hidden. */
export const HIDDEN_WORD = 'verborgenheim';
const LANGUAGES = ['en', 'de', 'fr'];
const WORDS = 60_000;
/** Each of these stands in one title of twenty. */
export const COMMON_WORDS = [
  ...['music', 'travel', 'review', 'live', 'garden', 'kitchen', 'winter', 'summer', 'street', 'mountain'],
  ...['village', 'workshop', 'history', 'science', 'football', 'bicycle', 'camera', 'animals', 'ocean', 'dance'],
];
const COMMON_SHARE = 0.05;
const HIDDEN_SHARE = 0.156;
const CHANNELS = 5_000;
const ONSETS = [
  'b',
  'br',
  'd',
  'dr',
  'f',
  'g',
  'gl',
  'h',
  'k',
  'kl',
  'l',
  'm',
  'n',
  'p',
  'pr',
  'r',
  's',
  'st',
  't',
  'tr',
  'v',
  'w',
  'z',
];
const VOWELS = ['a', 'e', 'i', 'o', 'u', 'ai', 'ei', 'ou'];
const CODAS = ['', 'n', 'r', 'l', 's', 'm', 't'];

export class Corpus {
  private readonly words: string[];

  constructor(
    readonly count: number,
    private readonly seed = 1,
  ) {
    const random = randomFrom(seed);
    const from = (parts: readonly string[]) => parts[Math.floor(random() * parts.length)] ?? '';
    const words = new Set<string>();
    while (words.size < WORDS) {
      const syllables = 2 + Math.floor(random() * 2);
      words.add(Array.from({ length: syllables }, () => from(ONSETS) + from(VOWELS) + from(CODAS)).join(''));
    }
    this.words = [...words];
  }

  get channels(): number {
    return Math.min(CHANNELS, Math.max(1, Math.floor(this.count / 20)));
  }

  *videos(): Generator<CorpusVideo> {
    const random = randomFrom(this.seed + 1);
    // Few words are in many titles, most in few.
    const word = () => this.words[Math.floor(WORDS * random() ** 3)] ?? '';
    for (let n = 0; n < this.count; n++) {
      const isVisible = random() >= HIDDEN_SHARE;
      const title = Array.from({ length: 3 + Math.floor(random() * 5) }, word);
      for (const common of COMMON_WORDS)
        if (random() < COMMON_SHARE) title.splice(Math.floor(random() * title.length), 0, common);
      if (!isVisible) title.push(HIDDEN_WORD);
      const words = title.slice(0, 10).join(' ');
      yield {
        title: isVisible || words.includes(HIDDEN_WORD) ? words : `${HIDDEN_WORD} ${words}`,
        language: LANGUAGES[Math.floor(random() * LANGUAGES.length)] ?? 'en',
        isVisible,
        views: Math.floor(10 ** (6 * random() ** 3)) - 1,
        ageDays: 1 + 3_000 * random(),
        durationMs: 10_000 + Math.floor(3_600_000 * random() ** 2),
        channel: Math.floor(this.channels * random() ** 2),
      };
    }
  }
}

/** One letter is left out, doubled, changed for another, or changes places with the next one. */
export function withTypo(title: string, random: () => number): string {
  const words = title.split(' ');
  const long = words.map((word, index) => ({ word, index })).filter(({ word }) => word.length >= 4);
  const { word, index } = long[Math.floor(random() * long.length)] ?? { word: words[0] ?? '', index: 0 };
  const at = Math.floor(random() * (word.length - 1));
  const [before, letter, next, after] = [word.slice(0, at), word[at] ?? '', word[at + 1] ?? '', word.slice(at + 2)];
  const other = String.fromCharCode(97 + Math.floor(random() * 26));
  const typos = [
    before + next + after,
    before + letter + letter + next + after,
    before + other + next + after,
    before + next + letter + after,
  ];
  words[index] = typos[Math.floor(random() * typos.length)] ?? word;
  return words.join(' ');
}
