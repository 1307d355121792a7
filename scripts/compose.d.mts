/** The path of `docker-compose`, built once and kept in the user's cache. */
export function ensureCompose(): string;
