import { Args, ArgsType, Field, Int, Query, Resolver } from '@nestjs/graphql';
import { IsOptional } from 'class-validator';
import { Public } from '../../common/access/index.js';
import { type Connection, decodeId, PageArgs } from '../../common/graphql/index.js';
import { Channel, ChannelConnection } from '../channels/index.js';
import { Video } from '../videos/index.js';
import { VideoSearchConnection, VideoSearchFilter, VideoSearchOrderEnum } from './search.graphql.js';
import { SearchService } from './search.service.js';
import type { VideoFilter, VideoOrder } from './search-index.js';

@ArgsType()
class ChannelSearchArgs extends PageArgs {
  @Field(() => String, { description: 'At most 200 characters.' })
  query: string;
}

@ArgsType()
class VideoSearchArgs extends PageArgs {
  @Field(() => String, {
    description:
      'At most 200 characters. All of its first twelve words are looked for, in any language, without regard to case and accents; what stands in quotes, or is written without spaces, as it stands. The last word may be unfinished where few titles have it as it is.',
  })
  query: string;

  @Field(() => VideoSearchFilter, { nullable: true, description: 'Only some of them.' })
  @IsOptional()
  filter?: VideoSearchFilter | null;

  @Field(() => VideoSearchOrderEnum, { nullable: true, defaultValue: 'RELEVANCE', description: 'In which order.' })
  @IsOptional()
  orderBy?: VideoOrder | null;
}

@Resolver()
export class SearchResolver {
  constructor(private readonly search: SearchService) {}

  @Query(() => VideoSearchConnection, {
    // As long as an honest one keeps the database busy, some 5 ms, and the count, which is below what costs as often as a page is long.
    complexity: 400,
    description: 'Public videos that play, found by title, tags, channel and description. Errors: SEARCH_TOO_BROAD.',
  })
  @Public()
  async searchVideos(
    @Args() { query, filter, orderBy, first, after }: VideoSearchArgs,
  ): Promise<VideoSearchConnection> {
    const asked = { text: query, filter: filterOf(filter ?? {}), orderBy: orderBy ?? 'RELEVANCE' } as const;
    const found = await this.search.videos(asked, first, after ?? null);
    const edges = found.rows.map(({ row, place }, index) => ({
      cursor: place,
      node: Video.of(row),
      // Only for clients that select them.
      get highlights() {
        return found.highlights().then((all) => all[index] ?? []);
      },
    }));
    return {
      edges,
      nodes: edges.map(({ node }) => node),
      pageInfo: pageInfoOf(found, after),
      get totalCount() {
        return found.count();
      },
      correctedQuery: found.correctedQuery,
    };
  }

  @Query(() => ChannelConnection, {
    complexity: 150,
    description: 'Channels by name and handle. Errors: SEARCH_TOO_BROAD. `totalCount` is null.',
  })
  @Public()
  async searchChannels(@Args() { query, first, after }: ChannelSearchArgs): Promise<Connection<Channel>> {
    const found = await this.search.channels(query, first, after ?? null);
    const edges = found.rows.map(({ row, place }) => ({ cursor: place, node: Channel.of(row) }));
    return { edges, nodes: edges.map(({ node }) => node), pageInfo: pageInfoOf(found, after), totalCount: null };
  }

  @Query(() => [String], {
    complexity: 30,
    description: 'What somebody who typed this much may be looking for: titles, and words. Errors: SEARCH_TOO_BROAD.',
  })
  @Public()
  searchSuggestions(
    @Args('prefix', { description: 'At most 200 characters.' }) prefix: string,
    @Args('first', { type: () => Int, nullable: true, defaultValue: 8, description: 'How many, 1 to 20.' }) first:
      | number
      | null,
  ): Promise<string[]> {
    return this.search.suggestions(prefix, first ?? 8);
  }
}

/** @throws InvalidInput */
function filterOf({ channelId, ...rest }: Partial<VideoSearchFilter>): VideoFilter {
  const given = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== null && value !== undefined));
  return { ...given, ...(channelId != null && { channelId: decodeId('Channel', channelId, ['filter', 'channelId']) }) };
}

const pageInfoOf = (
  {
    hasNextPage,
    startCursor,
    endCursor,
  }: { hasNextPage: boolean; startCursor: string | null; endCursor: string | null },
  after: string | null | undefined,
) => ({ hasNextPage, hasPreviousPage: after != null, startCursor, endCursor });
