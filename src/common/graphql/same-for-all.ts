import { Extensions } from '@nestjs/graphql';
import {
  BREAK,
  type DocumentNode,
  type GraphQLSchema,
  Kind,
  type OperationDefinitionNode,
  TypeInfo,
  visit,
  visitWithTypeInfo,
} from 'graphql';

/**
 * Marks a field whose answer is the same for everybody who may listen to the subscription it is selected in. One execution, as
 * nobody in particular, then serves them all; an operation with a single field that is not marked is executed for each.
 */
export const SameForAll = (): PropertyDecorator & MethodDecorator => Extensions({ sameForAll: true });

/** Whatever the type: who something is, is the same for all who see it. */
const SAME = new Set(['__typename', 'id']);
/** The argument that says where a reader stands: of no consequence for what an event looks like. */
const CURSOR = 'after';

export interface SharedOperation {
  /** Names of the variables that make a difference: all but those that only say where a reader stands. */
  readonly variables: readonly string[];
}

const known = new WeakMap<DocumentNode, SharedOperation | null>();

/** Null for an operation that is to be executed for each of its subscribers. */
export function sharedOperation(schema: GraphQLSchema, document: DocumentNode): SharedOperation | null {
  let operation = known.get(document);
  if (operation === undefined) {
    operation = analyse(schema, document);
    known.set(document, operation);
  }
  return operation;
}

function analyse(schema: GraphQLSchema, document: DocumentNode): SharedOperation | null {
  const operations = document.definitions.filter((one) => one.kind === Kind.OPERATION_DEFINITION);
  const [operation] = operations as [OperationDefinitionNode];
  if (operations.length !== 1 || operation.operation !== 'subscription') return null;
  let isSame = true;
  const uses = new Map<string, number>();
  const cursors: string[] = [];
  const types = new TypeInfo(schema);
  visit(
    document,
    visitWithTypeInfo(types, {
      Field: ({ name }) => {
        if (SAME.has(name.value) || types.getFieldDef()?.extensions.sameForAll === true) return;
        isSame = false;
        return BREAK;
      },
      Argument: ({ name, value }) => {
        const isRoot = types.getParentType() === schema.getSubscriptionType();
        if (isRoot && name.value === CURSOR && value.kind === Kind.VARIABLE) cursors.push(value.name.value);
      },
      VariableDefinition: () => false,
      Variable: ({ name }) => void uses.set(name.value, (uses.get(name.value) ?? 0) + 1),
    }),
  );
  if (!isSame || cursors.some((name) => uses.get(name) !== 1)) return null;
  const declared = operation.variableDefinitions?.map(({ variable }) => variable.name.value) ?? [];
  return { variables: declared.filter((name) => !cursors.includes(name)) };
}
