import { defineEvent } from '../../common/events/index.js';

/** Somebody said something under a video; `parentId` is what it answers, null for none. */
export const CommentAdded = defineEvent<{
  commentId: string;
  videoId: string;
  channelId: string;
  parentId: string | null;
  authorId: string;
}>('CommentAdded');
