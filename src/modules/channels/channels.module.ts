import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { ChannelEntity } from './channel.entity.js';
import { ChannelMember } from './channel-member.entity.js';
import { ChannelsResolver, UserChannelsResolver } from './channels.resolver.js';
import { ChannelsService } from './channels.service.js';

@Module({
  imports: [TypeOrmModule.forFeature([ChannelEntity, ChannelMember])],
  providers: [ChannelsService, ChannelsResolver, UserChannelsResolver],
  exports: [ChannelsService],
})
export class ChannelsModule {}
