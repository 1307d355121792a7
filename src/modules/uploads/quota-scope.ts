/** Whose quota a file does not fit into, and what is said of it. */
export const QUOTA_SCOPES = {
  USER: 'This file does not fit into your quota any more: delete videos or cancel uploads.',
  INSTALLATION: 'This server has no room for this file any more. Ask whoever runs it.',
} as const;
export type QuotaScope = keyof typeof QUOTA_SCOPES;
