import { defineEvent } from '../../common/events/index.js';

/** The video is gone for everybody; whoever holds bytes or rows of it lets go of them. */
export const VideoDeleted = defineEvent<{ videoId: string }>('VideoDeleted');

/** Once per video and run: every rendition plays to its end. */
export const VideoReady = defineEvent<{ videoId: string; run: number }>('VideoReady');

/** Once per video and run: it was refused, or given up, with a code. */
export const VideoFailed = defineEvent<{ videoId: string; run: number; code: string }>('VideoFailed');

/** Once per video and run: what was made before the upload's end counts no more. */
export const RunWithdrawn = defineEvent<{ videoId: string; run: number }>('RunWithdrawn');

/** Its owner said whether it may be saved; the row tells what holds now. */
export const DownloadDecided = defineEvent<{ videoId: string }>('DownloadDecided');

/** Once, ever: it is public and plays, and stands in lists from now on. What the row says now may be otherwise. */
export const VideoPublished = defineEvent<{ videoId: string; channelId: string }>('VideoPublished');
