import { InvalidInput } from '../../common/errors/index.js';
import { cleanName } from '../users/index.js';

export const MAX_TAGS = 20;
export const MAX_TAG = 30;
/** Language, script and region at most: what tells readers apart who search. */
const LANGUAGE = /^[a-z]{2,3}(?:-[a-z]{4})?(?:-(?:[a-z]{2}|\d{3}))?$/i;

/**
 * Tags as people type them: in one spelling, without the sign that some put before them, each once whatever its case.
 * @throws InvalidInput
 */
export function cleanTags(tags: readonly string[]): string[] {
  if (tags.length > MAX_TAGS) throw new InvalidInput(`A video may have at most ${MAX_TAGS} tags.`, ['tags']);
  const kept = new Map<string, string>();
  for (const tag of tags) {
    const clean = cleanName(tag.trim().replace(/^#+/, ''), 'tags', MAX_TAG).replace(/\s+/g, ' ');
    const key = clean.toLowerCase();
    if (!kept.has(key)) kept.set(key, clean);
  }
  return [...kept.values()];
}

/** A BCP 47 tag in its canonical spelling: `en`, `de-CH`, `zh-Hant`. @throws InvalidInput */
export function cleanLanguage(language: string): string {
  const tag = language.trim();
  if (!LANGUAGE.test(tag)) {
    throw new InvalidInput('language must be a BCP 47 tag such as "en" or "de-CH".', ['language']);
  }
  return new Intl.Locale(tag).toString();
}
