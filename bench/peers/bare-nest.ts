// The same part of the schema on Nest, Apollo and Fastify as they come: no access, no limits, no logging, no validation.
import 'reflect-metadata';
import { ApolloServerPluginCacheControlDisabled } from '@apollo/server/plugin/disabled';
import { ApolloDriver, type ApolloDriverConfig } from '@nestjs/apollo';
import { Controller, Get, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import {
  Args,
  Context,
  Field,
  Float,
  GraphQLISODateTime,
  GraphQLModule,
  ID,
  InputType,
  Int,
  Mutation,
  ObjectType,
  Parent,
  Query,
  ResolveField,
  Resolver,
} from '@nestjs/graphql';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import DataLoader from 'dataloader';
import { type Chunk, channel, commitChunks, idOf, posterUrl, roles, videos, watchable } from './data.js';

@ObjectType()
class PageInfo {
  @Field(() => Boolean) hasNextPage: boolean;
  @Field(() => String, { nullable: true }) endCursor: string | null;
}

@ObjectType()
class Video {
  row: Parameters<typeof posterUrl>[0] & { channelId: string };
  @Field(() => ID) id: string;
  @Field(() => String) title: string;
  @Field(() => String) visibility: string;
  @Field(() => String) state: string;
  @Field(() => Int, { nullable: true }) durationMs: number | null;
  @Field(() => GraphQLISODateTime) createdAt: Date;
}

@ObjectType()
class VideoConnection {
  @Field(() => [Video]) nodes: Video[];
  @Field(() => PageInfo) pageInfo: PageInfo;
}

@ObjectType()
class Channel {
  uuid: string;
  @Field(() => ID) id: string;
  @Field(() => String) handle: string;
  @Field(() => String) name: string;
}

interface Loaders {
  roles: DataLoader<string, string | undefined>;
  watchable: DataLoader<string, Parameters<typeof posterUrl>[1]>;
}
const makeLoaders = (): Loaders => ({
  roles: new DataLoader(async (ids) => {
    const found = await roles(ids);
    return ids.map((id) => found.get(id));
  }),
  watchable: new DataLoader(async (ids) => {
    const found = await watchable(ids);
    return ids.map((id) => found.get(id));
  }),
});
const edits = (role: string | undefined) => role === 'OWNER' || role === 'EDITOR';

@Resolver(() => Channel)
class ChannelResolver {
  @Query(() => Channel, { nullable: true })
  async channel(@Args('id', { type: () => ID }) id: string): Promise<Channel> {
    return channel(id);
  }

  @ResolveField(() => Boolean)
  async viewerCanManage(@Parent() parent: Channel, @Context() loaders: Loaders): Promise<boolean> {
    return edits(await loaders.roles.load(parent.uuid));
  }

  @ResolveField(() => VideoConnection)
  async videos(
    @Parent() parent: Channel,
    @Args('first', { type: () => Int, defaultValue: 20 }) first: number,
    @Context() loaders: Loaders,
  ): Promise<VideoConnection> {
    // Whoever edits sees all, and here nobody else asks.
    if (!edits(await loaders.roles.load(parent.uuid))) throw new Error('Not yours.');
    const { rows, hasNextPage, endCursor } = await videos(parent.uuid, first);
    return {
      nodes: rows.map((row) => ({ ...row, row, id: idOf('Video', row.id) })),
      pageInfo: { hasNextPage, endCursor: endCursor ?? null },
    };
  }
}

@Resolver(() => Video)
class VideoResolver {
  @ResolveField(() => String, { nullable: true })
  async posterUrl(@Parent() { row }: Video, @Context() loaders: Loaders): Promise<string | null> {
    return posterUrl(row, await loaders.watchable.load(row.id));
  }

  @ResolveField(() => Boolean)
  async viewerCanEdit(@Parent() { row }: Video, @Context() loaders: Loaders): Promise<boolean> {
    return edits(await loaders.roles.load(row.channelId));
  }
}

@InputType()
class ChunkInput implements Chunk {
  @Field(() => Float) offset: number;
  @Field(() => Float) sizeBytes: number;
  @Field(() => String) sha256: string;
}

@InputType()
class CommitChunksInput {
  @Field(() => ID) sessionId: string;
  @Field(() => [ChunkInput]) stored: ChunkInput[];
}

@ObjectType()
class ByteRange {
  @Field(() => Float) start: number;
  @Field(() => Float) end: number;
}

@ObjectType()
class UploadSession {
  @Field(() => ID) id: string;
  @Field(() => Float) progress: number;
  @Field(() => Float) committedBytes: number;
  @Field(() => [ByteRange]) missingRanges: ByteRange[];
}

@ObjectType()
class ChunkResult {
  @Field(() => Float) offset: number;
  @Field(() => String) outcome: string;
  @Field(() => String, { nullable: true }) code: string | null;
  @Field(() => String, { nullable: true }) message: string | null;
}

@ObjectType()
class UserError {
  @Field(() => String) code: string;
  @Field(() => String) message: string;
}

@ObjectType()
class CommitChunksPayload {
  @Field(() => UploadSession, { nullable: true }) session: UploadSession | null;
  @Field(() => [ChunkResult]) results: ChunkResult[];
  @Field(() => [UserError]) userErrors: UserError[];
}

@Resolver()
class UploadsResolver {
  @Mutation(() => CommitChunksPayload)
  async commitChunks(@Args('input') { sessionId, stored }: CommitChunksInput): Promise<CommitChunksPayload> {
    return commitChunks(sessionId, stored);
  }
}

@Controller()
class Ready {
  @Get('readyz')
  ready(): string {
    return 'ready';
  }
}

@Module({
  imports: [
    GraphQLModule.forRoot<ApolloDriverConfig>({
      driver: ApolloDriver,
      autoSchemaFile: true,
      graphiql: false,
      context: makeLoaders,
      // The one setting beyond the defaults: it is worth 45 µs on a list, and so part of any serious set-up.
      plugins: [ApolloServerPluginCacheControlDisabled()],
    }),
  ],
  controllers: [Ready],
  providers: [ChannelResolver, VideoResolver, UploadsResolver],
})
class BareModule {}

const app = await NestFactory.create<NestFastifyApplication>(BareModule, new FastifyAdapter(), { logger: ['error'] });
await app.listen(Number(process.env.PORT), '127.0.0.1');
