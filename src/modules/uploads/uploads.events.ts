import { defineEvent } from '../../common/events/index.js';

/** An unfinished upload will be gone in a day, unless a byte comes. Once for each date (ISO 8601) of its expiry. */
export const UploadExpiring = defineEvent<{ sessionId: string; expiresAt: string }>('UploadExpiring');

/** The master is written, and its digest is what was declared. Once per session. */
export const UploadCompleted = defineEvent<{ sessionId: string; videoId: string; run: number }>('UploadCompleted');
