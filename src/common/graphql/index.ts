export * from './connections.js';
export * from './cursors.js';
export * from './ids.js';
export * from './loaders.js';
export * from './mutates.js';
export { Node, NodeResolver } from './node.graphql.js';
export type { OperationContext } from './operation-context.js';
export * from './scalars.js';
export { InvalidInputError, NotFoundError, UserError } from './user-errors.graphql.js';
