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

/**
 * What is shown of it, or who may see it, may be otherwise than before: its words, tags, language, visibility, publish time
 * or state, or it is gone. The row tells what holds now. A publish time that has come by the clock is no change.
 */
export const VideoChanged = defineEvent<{ videoId: string }>('VideoChanged');

/** Once, ever: it is public and plays, and stands in lists from now on. What the row says now may be otherwise. */
export const VideoPublished = defineEvent<{ videoId: string; channelId: string }>('VideoPublished');
