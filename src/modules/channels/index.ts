export type { ChannelEntity } from './channel.entity.js';
export { HandleTaken } from './channels.errors.js';
export { Channel } from './channels.graphql.js';
export { ChannelsModule } from './channels.module.js';
export { type ChannelRole, canManage, canUpload } from './channels.policy.js';
export { ChannelsService } from './channels.service.js';
