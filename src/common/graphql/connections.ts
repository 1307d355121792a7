import type { Type } from '@nestjs/common';
import { ArgsType, Field, Int, ObjectType } from '@nestjs/graphql';
import { Transform } from 'class-transformer';
import { IsOptional, Max, Min } from 'class-validator';
import { GraphQLCursor } from './scalars.js';

export const MAX_PAGE = 100;
const DEFAULT_PAGE = 20;

@ArgsType()
export class PageArgs {
  @Field(() => Int, { nullable: true, defaultValue: DEFAULT_PAGE, description: 'How many, 1 to 100.' })
  @Transform(({ value }) => value ?? DEFAULT_PAGE)
  @Min(1)
  @Max(MAX_PAGE)
  first: number = DEFAULT_PAGE;

  @Field(() => GraphQLCursor, {
    nullable: true,
    description: 'Begin behind this place: `endCursor` of the page before.',
  })
  @IsOptional()
  after?: string | null;
}

@ObjectType({ description: 'Where a page stands in its list.' })
export class PageInfo {
  @Field(() => Boolean, { description: 'There is more behind this page.' })
  hasNextPage: boolean;

  @Field(() => Boolean, { description: 'The page was asked for with `after`, so there is something before it.' })
  hasPreviousPage: boolean;

  @Field(() => GraphQLCursor, { nullable: true, description: 'Place of the first item. Null on an empty page.' })
  startCursor: string | null;

  @Field(() => GraphQLCursor, { nullable: true, description: 'Place of the last item. Null on an empty page.' })
  endCursor: string | null;
}

export interface Edge<Node> {
  cursor: string;
  node: Node;
}

export interface Connection<Node> {
  readonly edges: Edge<Node>[];
  nodes: Node[];
  pageInfo: PageInfo;
  readonly totalCount: number | null | Promise<number | null>;
}

/**
 * The Relay classes for a list of `node()`: `export const { Edge: VideoEdge, Connection: VideoConnection } = connectionOf(() => Video)`.
 * Call it below the class. With `totalCount` the connection has that (nullable) field too.
 */
export function connectionOf<Node>(
  node: () => Type<Node>,
  options: { totalCount?: boolean } = {},
): { Edge: Type<Edge<Node>>; Connection: Type<Connection<Node>> } {
  const name = node().name;

  @ObjectType(`${name}Edge`, { description: `One ${name} in a list.` })
  class EdgeType {
    @Field(() => GraphQLCursor, { description: 'Its place: pass it as `after` to go on from here.' })
    cursor: string;

    @Field(node, { description: `The ${name}.` })
    node: Node;
  }

  @ObjectType(`${name}Connection`, { description: `A page of a list of ${name}.` })
  class ConnectionType {
    @Field(() => [EdgeType], { description: 'The items with their places.' })
    edges: Edge<Node>[];

    @Field(() => [node()], { description: 'The items alone.' })
    nodes: Node[];

    @Field(() => PageInfo, { description: 'Whether there is more, and from where.' })
    pageInfo: PageInfo;
  }
  if (options.totalCount) {
    Field(() => Int, {
      nullable: true,
      complexity: 10,
      description: 'Length of the whole list. Null where counting costs too much.',
    })(ConnectionType.prototype, 'totalCount');
  }
  return { Edge: EdgeType as Type<Edge<Node>>, Connection: ConnectionType as Type<Connection<Node>> };
}

/**
 * @param page rows of one keyset page, and whether there are more
 * @param args of the field; with `after` there is something before the page
 * @param totalCount length of the whole list; a function is asked only when the client selects the field
 */
export function toConnection<Row, Node>(
  page: { rows: readonly Row[]; hasNextPage: boolean },
  args: { after?: string | null },
  cursorOf: (row: Row) => string,
  toNode: (row: Row) => Node,
  totalCount: number | null | (() => Promise<number | null>) = null,
): Connection<Node> {
  const { rows } = page;
  const nodes = rows.map(toNode);
  const cursorAt = (index: number) => {
    const row = rows.at(index);
    return row === undefined ? null : cursorOf(row);
  };
  return {
    // Only for clients that select them: most take the nodes.
    get edges() {
      return rows.map((row, index) => ({ cursor: cursorOf(row), node: nodes[index] as Node }));
    },
    nodes,
    pageInfo: {
      hasNextPage: page.hasNextPage,
      hasPreviousPage: args.after != null,
      startCursor: cursorAt(0),
      endCursor: cursorAt(-1),
    },
    // Counted only for clients that select it.
    get totalCount() {
      return typeof totalCount === 'function' ? totalCount() : totalCount;
    },
  };
}
