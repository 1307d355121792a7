/** The path of the store's binary, built once and kept in the user's cache. */
export function ensureStore(name: 'minio' | 'versitygw'): string;
