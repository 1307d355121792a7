/** Builds what changed since it was built. */
export function ensureBuilt(options?: { force?: boolean; parts?: ('server' | 'pages' | 'client')[] }): void;
