import { defineEvent } from '../../common/events/index.js';

/** The channel is gone for everybody; whoever holds rows of it lets go of them. */
export const ChannelDeleted = defineEvent<{ channelId: string }>('ChannelDeleted');

/** It is new, or has another name. The row tells what holds now. Deletion is `ChannelDeleted`. */
export const ChannelChanged = defineEvent<{ channelId: string }>('ChannelChanged');

/** Who was an owner or editor is none any more, as it seemed then: ask anew. Not told when the channel is deleted. */
export const EditorLeft = defineEvent<{ channelId: string; userId: string }>('EditorLeft');
