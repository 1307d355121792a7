export type { ChannelEntity } from './channel.entity.js';
export { HandleTaken, NotAnEditor } from './channels.errors.js';
export { ChannelChanged, ChannelDeleted, EditorLeft } from './channels.events.js';
export { Channel, ChannelConnection } from './channels.graphql.js';
export { ChannelsModule } from './channels.module.js';
export { type ChannelRole, canManage, canOwn, canUpload } from './channels.policy.js';
export { accessTopic, ChannelsService } from './channels.service.js';
