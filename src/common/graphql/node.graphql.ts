import { SetMetadata } from '@nestjs/common';
import { Field, ID, InterfaceType } from '@nestjs/graphql';
import type { Actor } from '../access/index.js';

export const NODE_TYPE = Symbol('node type');
/** Which type an answer of `Query.node` has: the resolver that gave it knows, the object itself need not. */
export const nodeTypes = new WeakMap<object, string>();

@InterfaceType('Node', {
  description: 'Something with an id of its own (Relay).',
  resolveType: (value: object) => nodeTypes.get(value),
})
export abstract class Node {
  @Field(() => ID, { description: 'Opaque, unique among all types, for ever.' })
  id: string;
}

/**
 * Marks the method of a resolver class that `Query.node` asks for things of this type. It gets the UUID and who asks,
 * and gives null for what is missing or not theirs to see.
 */
export const NodeResolver =
  (type: string) =>
  <Method extends (uuid: string, actor: Actor | null) => Promise<object | null>>(
    target: object,
    key: string | symbol,
    descriptor: TypedPropertyDescriptor<Method>,
  ): void => {
    SetMetadata(NODE_TYPE, type)(target, key, descriptor);
  };
