/** The dictionaries of stems that every PostgreSQL from 15 on has, by the language of BCP 47. */
const DICTIONARIES: Readonly<Record<string, string>> = {
  ...{
    ar: 'arabic',
    ca: 'catalan',
    da: 'danish',
    de: 'german',
    el: 'greek',
    en: 'english',
    es: 'spanish',
    eu: 'basque',
  },
  ...{ fi: 'finnish', fr: 'french', ga: 'irish', hi: 'hindi', hu: 'hungarian', hy: 'armenian', id: 'indonesian' },
  ...{ it: 'italian', lt: 'lithuanian', ne: 'nepali', nl: 'dutch', no: 'norwegian', nb: 'norwegian', nn: 'norwegian' },
  ...{
    pt: 'portuguese',
    ro: 'romanian',
    ru: 'russian',
    sr: 'serbian',
    sv: 'swedish',
    ta: 'tamil',
    tr: 'turkish',
    yi: 'yiddish',
  },
};

/** Null: a language without one. What nobody said is taken for English, whose stems do other languages little harm. */
export function dictionaryOf(language: string | null): string | null {
  const name = DICTIONARIES[(language ?? 'en').split('-')[0] as string];
  return name === undefined ? null : `pg_catalog.${name}_stem`;
}
