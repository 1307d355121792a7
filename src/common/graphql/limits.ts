import {
  type ASTVisitor,
  type DirectiveNode,
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  type FragmentSpreadNode,
  GraphQLError,
  type GraphQLSchema,
  getNamedType,
  getNullableType,
  getOperationAST,
  getVariableValues,
  type InlineFragmentNode,
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
  /** Of introspection: the standard query asks for ten. What is in them is as long as the schema. */
  introspectionLists: 15,
  /** Those of a fragment count wherever it is spread. */
  aliases: 15,
  rootFields: 5,
  operations: 10,
  directives: 30,
  /** Of a string or number in the document itself: longer ones come as variables. */
  literalLength: 10_000,
  /** A batch of a thousand chunks has four thousand. */
  variableValues: 10_000,
  variableDepth: 10,
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
      const refuse = (what: string) => context.reportError(tooMuch(`The document has ${what} allowed.`));
      const operations = document.definitions.filter(({ kind }) => kind === Kind.OPERATION_DEFINITION).length;
      let directives = 0;
      let longest = 0;
      const literal = ({ value }: { value: string }) => {
        longest = Math.max(longest, value.length);
      };
      visit(document, {
        Directive: () => void directives++,
        StringValue: literal,
        IntValue: literal,
        FloatValue: literal,
      });
      if (operations > LIMITS.operations) refuse(`${operations} operations; ${LIMITS.operations} are`);
      if (directives > LIMITS.directives) refuse(`${directives} directives; ${LIMITS.directives} are`);
      if (longest > LIMITS.literalLength)
        refuse(`a literal of ${longest} characters; ${LIMITS.literalLength}, or a variable, are`);
    },
    OperationDefinition(operation: OperationDefinitionNode) {
      const measured = measure(operation.selectionSet);
      const refuse = (what: string) => context.reportError(tooMuch(`The operation ${what} allowed.`, operation));
      const { aliases, rootFields, depth, introspectionDepth, introspectionLists } = measured;
      if (aliases > LIMITS.aliases) refuse(`has ${aliases} aliases; ${LIMITS.aliases} are`);
      if (rootFields > LIMITS.rootFields) refuse(`has ${rootFields} root fields; ${LIMITS.rootFields} are`);
      if (depth > LIMITS.depth || introspectionDepth > LIMITS.introspectionDepth)
        refuse(`is ${Math.max(depth, introspectionDepth)} levels deep; ${LIMITS.depth} are`);
      if (introspectionLists > LIMITS.introspectionLists)
        refuse(`asks the schema for ${introspectionLists} lists; ${LIMITS.introspectionLists} are`);
      if (measured.introspectionTypes > 1) refuse('asks the schema for types within types, which is not');
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

/** Lists in what introspection answers, and those of them that lead from a type to further types. */
const SCHEMA_LISTS = new Set(['types', 'directives', 'args', 'enumValues', 'locations']);
const TYPE_LISTS = new Set(['fields', 'inputFields', 'interfaces', 'possibleTypes']);

interface Measure {
  aliases: number;
  rootFields: number;
  depth: number;
  introspectionDepth: number;
  /** Fields with the names of introspection's lists, and how deep those of types are in each other: anywhere … */
  lists: number;
  types: number;
  /** … and below `__schema` and `__type`. */
  introspectionLists: number;
  introspectionTypes: number;
}

const nothing = (): Measure => ({
  aliases: 0,
  rootFields: 0,
  depth: 0,
  introspectionDepth: 0,
  lists: 0,
  types: 0,
  introspectionLists: 0,
  introspectionTypes: 0,
});

/** Each fragment is measured once, so that fragments within fragments cannot make the measuring itself expensive. */
function measureIn(context: ValidationContext): (set: SelectionSetNode) => Measure {
  const fragments = new Map<FragmentDefinitionNode, Measure>();

  const measure = (set: SelectionSetNode): Measure => {
    const sum = nothing();
    for (const selection of set.selections) {
      const inner = selection.kind === Kind.FIELD ? measureField(selection) : measureSpread(selection);
      sum.aliases += inner.aliases;
      sum.rootFields += inner.rootFields;
      sum.lists += inner.lists;
      sum.introspectionLists += inner.introspectionLists;
      for (const key of ['depth', 'introspectionDepth', 'types', 'introspectionTypes'] as const)
        sum[key] = Math.max(sum[key], inner[key]);
    }
    return sum;
  };

  const measureField = ({ name: { value: name }, alias, selectionSet }: FieldNode): Measure => {
    const below = selectionSet ? measure(selectionSet) : nothing();
    const introspects = name === '__schema' || name === '__type';
    const depth = 1 + Math.max(below.depth, introspects ? below.introspectionDepth : 0);
    const isTypes = TYPE_LISTS.has(name);
    return {
      aliases: below.aliases + (alias ? 1 : 0),
      rootFields: 1,
      depth: introspects ? 0 : depth,
      introspectionDepth: introspects ? depth : 0,
      lists: below.lists + (isTypes || SCHEMA_LISTS.has(name) ? 1 : 0),
      types: below.types + (isTypes ? 1 : 0),
      introspectionLists: introspects ? below.lists : 0,
      introspectionTypes: introspects ? below.types : 0,
    };
  };

  const measureSpread = (spread: FragmentSpreadNode | InlineFragmentNode): Measure =>
    spread.kind === Kind.INLINE_FRAGMENT
      ? measure(spread.selectionSet)
      : measureFragment(context.getFragment(spread.name.value));

  const measureFragment = (fragment: FragmentDefinitionNode | null | undefined): Measure => {
    if (!fragment) return nothing();
    let known = fragments.get(fragment);
    if (!known) {
      // A fragment within itself is refused by a rule of GraphQL; here it must only not go on for ever.
      fragments.set(fragment, nothing());
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

/** What JSON can hold in 100 KiB is more than any input of ours wants; each value is looked at several times. */
function tooManyVariables(variables: Record<string, unknown>): GraphQLError | null {
  let level: unknown[] = Object.values(variables);
  let values = level.length;
  for (let depth = 1; level.length > 0; depth++) {
    if (values > LIMITS.variableValues)
      return badInput(`The variables have more than ${LIMITS.variableValues} values.`);
    if (depth > LIMITS.variableDepth)
      return badInput(`The variables are more than ${LIMITS.variableDepth} levels deep.`);
    level = level.flatMap((value) => (value !== null && typeof value === 'object' ? Object.values(value) : []));
    values += level.length;
  }
  return null;
}

/** What an operation costs, and why it may not run; where it cannot for other reasons, its execution tells. */
export interface Priced {
  /** Null where it is refused or cannot run: reading it was work all the same. */
  readonly cost: number | null;
  readonly error: GraphQLError | null;
}

/** The limits that depend on the variables: their number, page sizes and the cost of the operation. */
export function priceOf(
  schema: GraphQLSchema,
  query: DocumentNode,
  operationName: string | null | undefined,
  variables: Record<string, unknown> | null | undefined,
): Priced {
  const refused = (error: GraphQLError | null): Priced => ({ cost: null, error });
  const priced = (cost: number): Priced => {
    const error = tooCostly(cost);
    return error ? refused(error) : { cost: Math.max(cost, 1), error };
  };
  const operation = getOperationAST(query, operationName);
  if (!operation) return refused(null);
  const tooMany = variables && tooManyVariables(variables);
  if (tooMany) return refused(tooMany);
  const costs = fixedCosts.get(query);
  const known = costs?.get(operation);
  if (known !== undefined) return priced(known);
  if (getVariableValues(schema, operation.variableDefinitions ?? [], variables ?? {}).errors) return refused(null);
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
    return priced(cost);
  } catch (error) {
    // An argument that does not fit, or more nodes than it is willing to count.
    if (!(error instanceof GraphQLError)) throw error;
    return refused(error.extensions.code ? error : badInput(error.message));
  }
}
