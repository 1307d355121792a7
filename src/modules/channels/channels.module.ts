import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { MediaModule } from '../media/index.js';
import { StorageModule } from '../storage/index.js';
import { UsersModule } from '../users/index.js';
import { ChannelEntity } from './channel.entity.js';
import { ChannelImagesIngress } from './channel-images.ingress.js';
import { ChannelImages } from './channel-images.service.js';
import { ChannelMemberEntity } from './channel-member.entity.js';
import { ChannelMemberListResolver, ChannelMembersResolver } from './channel-members.resolver.js';
import { ChannelsResolver, UserChannelsResolver } from './channels.resolver.js';
import { ChannelsService } from './channels.service.js';
import { MakeChannelImageJob } from './make-channel-image.job.js';

@Module({
  imports: [TypeOrmModule.forFeature([ChannelEntity, ChannelMemberEntity]), MediaModule, StorageModule, UsersModule],
  providers: [
    ChannelsService,
    ChannelImages,
    ChannelImagesIngress,
    MakeChannelImageJob,
    ChannelsResolver,
    ChannelMembersResolver,
    ChannelMemberListResolver,
    UserChannelsResolver,
  ],
  exports: [ChannelsService],
})
export class ChannelsModule {}
