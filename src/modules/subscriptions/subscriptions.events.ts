import { defineEvent } from '../../common/events/index.js';

/** Somebody who did not follow the channel does now, since `at` (ISO 8601). Again after each time they left. */
export const ChannelFollowed = defineEvent<{ channelId: string; userId: string; at: string }>('ChannelFollowed');
