import { defineEvent } from '../../common/events/index.js';

/** The master is written, and its digest is what was declared. Once per session. */
export const UploadCompleted = defineEvent<{ sessionId: string; videoId: string; run: number }>('UploadCompleted');
