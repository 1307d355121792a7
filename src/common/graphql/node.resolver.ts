import { Injectable, type OnModuleInit } from '@nestjs/common';
import { MetadataScanner, ModulesContainer } from '@nestjs/core';
import { Args, ID, Query, Resolver } from '@nestjs/graphql';
import { type Actor, CurrentActor, Public } from '../access/index.js';
import { parseId } from './ids.js';
import { NODE_TYPE, Node, nodeTypes } from './node.graphql.js';

type Load = (uuid: string, actor: Actor | null) => Promise<object | null>;

/** The methods marked with `@NodeResolver`, by type. */
@Injectable()
export class NodeResolvers implements OnModuleInit {
  private readonly loads = new Map<string, Load>();

  constructor(
    private readonly modules: ModulesContainer,
    private readonly scanner: MetadataScanner,
  ) {}

  onModuleInit(): void {
    for (const module of this.modules.values()) {
      for (const { instance, metatype } of module.providers.values()) {
        const prototype = (metatype as { prototype?: Record<string, object> } | null)?.prototype;
        if (!prototype || !instance) continue;
        for (const method of this.scanner.getAllMethodNames(prototype)) {
          const type = Reflect.getMetadata(NODE_TYPE, prototype[method] ?? {}) as string | undefined;
          if (!type) continue;
          if (this.loads.has(type)) throw new Error(`@NodeResolver('${type}') is there twice.`);
          this.loads.set(type, (instance as Record<string, Load>)[method]?.bind(instance) as Load);
        }
      }
    }
  }

  async load(globalId: string, actor: Actor | null): Promise<object | null> {
    const id = parseId(globalId);
    const node = id && (await this.loads.get(id.type)?.(id.uuid, actor));
    if (!id || !node) return null;
    nodeTypes.set(node, id.type);
    return node;
  }
}

@Resolver()
export class NodeQuery {
  constructor(private readonly nodes: NodeResolvers) {}

  @Public()
  @Query(() => Node, {
    nullable: true,
    description: 'Anything by its id. Null when there is no such thing, or it is not yours to see.',
  })
  node(@Args('id', { type: () => ID, description: 'The id.' }) id: string, @CurrentActor() actor: Actor | null) {
    return this.nodes.load(id, actor);
  }
}
