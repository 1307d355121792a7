import {
  type ASTVisitor,
  type DirectiveNode,
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  GraphQLError,
  type GraphQLSchema,
  getNamedType,
  getNullableType,
  getOperationAST,
  getVariableValues,
  isCompositeType,
  isListType,
  Kind,
  type OperationDefinitionNode,
  type SelectionSetNode,
  specifiedRules,
  type ValidationContext,
  type ValidationRule,
  visit,
} from 'graphql';
import { type ComplexityEstimator, getComplexity } from 'graphql-query-complexity';
import { MAX_PAGE } from './connections.js';

/** The same on every transport. */
export const LIMITS = {
  bodyBytes: 100 * 1024,
  tokens: 1_000,
  depth: 10,
  /** The standard introspection query has this depth. */
  introspectionDepth: 15,
  aliases: 15,
  rootFields: 5,
  /** One object costs 1; what is in a page costs as often as the page is long. */
  cost: 5_000,
} as const;

/** Items of a list that has no `first`: such lists are short by nature (renditions of a video, say). */
const SHORT_LIST = 5;

const tooMuch = (message: string, nodes?: OperationDefinitionNode) =>
  new GraphQLError(message, { nodes, extensions: { code: 'GRAPHQL_VALIDATION_FAILED' } });

/** Limits that the text of the document alone decides. */
const documentLimits: ValidationRule = (context: ValidationContext): ASTVisitor => {
  const measure = measureIn(context);
  return {
    Document(document: DocumentNode) {
      let aliases = 0;
      visit(document, { Field: (field) => void (field.alias && aliases++) });
      if (aliases > LIMITS.aliases) {
        context.reportError(tooMuch(`The document has ${aliases} aliases; ${LIMITS.aliases} are allowed.`));
      }
    },
    OperationDefinition(operation: OperationDefinitionNode) {
      const { rootFields, depth, introspectionDepth } = measure(operation.selectionSet);
      if (rootFields > LIMITS.rootFields) {
        const message = `The operation has ${rootFields} root fields; ${LIMITS.rootFields} are allowed.`;
        context.reportError(tooMuch(message, operation));
      }
      if (depth > LIMITS.depth || introspectionDepth > LIMITS.introspectionDepth) {
        const message = `The operation is ${Math.max(depth, introspectionDepth)} levels deep; ${LIMITS.depth} are allowed.`;
        context.reportError(tooMuch(message, operation));
      }
    },
  };
};

const noIntrospection: ValidationRule = (context) => ({
  Field(field) {
    if (field.name.value === '__schema' || field.name.value === '__type') {
      context.reportError(tooMuch('Introspection is switched off here.'));
    }
  },
});

/** Beyond those that GraphQL itself demands. */
export function limitRules(options: { introspection: boolean }): ValidationRule[] {
  return options.introspection ? [documentLimits] : [documentLimits, noIntrospection];
}

export function validationRules(options: { introspection: boolean }): readonly ValidationRule[] {
  return [...specifiedRules, ...limitRules(options)];
}

interface Measure {
  rootFields: number;
  depth: number;
  introspectionDepth: number;
}

/** Each fragment is measured once, so that fragments within fragments cannot make the measuring itself expensive. */
function measureIn(context: ValidationContext): (set: SelectionSetNode) => Measure {
  const fragments = new Map<FragmentDefinitionNode, Measure>();

  const measure = (set: SelectionSetNode): Measure => {
    const sum: Measure = { rootFields: 0, depth: 0, introspectionDepth: 0 };
    for (const selection of set.selections) {
      if (selection.kind === Kind.FIELD) {
        const below = selection.selectionSet ? measure(selection.selectionSet) : { depth: 0, introspectionDepth: 0 };
        const introspects = selection.name.value === '__schema' || selection.name.value === '__type';
        const depth = 1 + Math.max(below.depth, introspects ? below.introspectionDepth : 0);
        sum.rootFields++;
        if (introspects) sum.introspectionDepth = Math.max(sum.introspectionDepth, depth);
        else sum.depth = Math.max(sum.depth, depth);
      } else {
        const inner =
          selection.kind === Kind.INLINE_FRAGMENT
            ? measure(selection.selectionSet)
            : measureFragment(context.getFragment(selection.name.value));
        sum.rootFields += inner.rootFields;
        sum.depth = Math.max(sum.depth, inner.depth);
        sum.introspectionDepth = Math.max(sum.introspectionDepth, inner.introspectionDepth);
      }
    }
    return sum;
  };

  const nothing: Measure = { rootFields: 0, depth: 0, introspectionDepth: 0 };
  const measureFragment = (fragment: FragmentDefinitionNode | null | undefined): Measure => {
    if (!fragment) return nothing;
    let known = fragments.get(fragment);
    if (!known) {
      // A fragment within itself is refused by a rule of GraphQL; here it must only not go on for ever.
      fragments.set(fragment, nothing);
      known = measure(fragment.selectionSet);
      fragments.set(fragment, known);
    }
    return known;
  };
  return measure;
}

/** `complexity` of a field adds to what is below it. A field with `first` counts what is below as often. */
const estimate: ComplexityEstimator = ({ field, args, childComplexity }) => {
  const own = field.extensions?.complexity;
  const base = typeof own === 'number' ? own : isCompositeType(getNamedType(field.type)) ? 1 : 0;
  const isList = isListType(getNullableType(field.type));
  const item = (isList ? 1 : 0) + childComplexity;
  const page = field.args.find((argument) => argument.name === 'first');
  if (page) {
    // An explicit null stands for the default too.
    const first = Number(args.first ?? page.defaultValue ?? MAX_PAGE);
    if (first > MAX_PAGE) throw badInput(`"first" is ${first}; ${MAX_PAGE} is the most.`);
    return base + Math.max(first, 1) * item;
  }
  // The items of a connection are counted by its field above.
  if (!isList || field.name === 'edges' || field.name === 'nodes') return base + childComplexity;
  return base + SHORT_LIST * item;
};

/** Of documents whose cost is the same whatever the variables: those that clients send again and again. */
const fixedCosts = new WeakMap<DocumentNode, Map<OperationDefinitionNode, number>>();

/** Page sizes, and whether a part is left out, are all that variables can change about the cost. */
function dependsOnVariables(query: DocumentNode): boolean {
  let depends = false;
  const look = (names: (name: string) => boolean) => (node: FieldNode | DirectiveNode) => {
    depends ||= (node.arguments ?? []).some(({ name, value }) => value.kind === Kind.VARIABLE && names(name.value));
  };
  visit(query, { Field: look((name) => name === 'first'), Directive: look(() => true) });
  return depends;
}

function tooCostly(cost: number): GraphQLError | null {
  return cost > LIMITS.cost
    ? tooMuch(`The operation costs ${cost}; ${LIMITS.cost} are allowed. Ask for shorter pages or fewer levels.`)
    : null;
}

const badInput = (message: string) => new GraphQLError(message, { extensions: { code: 'BAD_USER_INPUT' } });

/**
 * The limits that depend on the variables: page sizes and the cost of the operation.
 *
 * @returns null when the operation may run, or when it cannot for other reasons, which its execution then tells
 */
export function costError(
  schema: GraphQLSchema,
  query: DocumentNode,
  operationName: string | null | undefined,
  variables: Record<string, unknown> | null | undefined,
): GraphQLError | null {
  const operation = getOperationAST(query, operationName);
  if (!operation) return null;
  const costs = fixedCosts.get(query);
  const known = costs?.get(operation);
  if (known !== undefined) return tooCostly(known);
  if (getVariableValues(schema, operation.variableDefinitions ?? [], variables ?? {}).errors) return null;
  try {
    const cost = getComplexity({
      schema,
      // Other operations of the document cost nothing, and their variables are not given.
      query: {
        ...query,
        definitions: query.definitions.filter((one) => one === operation || one.kind !== operation.kind),
      },
      variables: variables ?? {},
      estimators: [estimate],
    });
    if (!costs && !dependsOnVariables(query)) fixedCosts.set(query, new Map([[operation, cost]]));
    costs?.set(operation, cost);
    return tooCostly(cost);
  } catch (error) {
    // An argument that does not fit, or more nodes than it is willing to count.
    if (!(error instanceof GraphQLError)) throw error;
    return error.extensions.code ? error : badInput(error.message);
  }
}
