// The same schema without our limits: graphql-js as it comes parses, validates by its own rules and executes, with resolvers that
// answer at once, lists as long as they are asked for. One request a message; whoever sent it ends this process when it takes too long.
import { readFileSync } from 'node:fs';
import {
  buildSchema,
  type ExecutionResult,
  execute,
  type GraphQLFieldResolver,
  GraphQLList,
  getNamedType,
  getNullableType,
  isAbstractType,
  isEnumType,
  isObjectType,
  parse,
  validate,
} from 'graphql';

interface Page {
  length?: number;
}

const schema = buildSchema(readFileSync(new URL('../../schema.graphql', import.meta.url), 'utf8'));
const SHORT = 5;
const numbers = new Set(['Int', 'Float', 'Count', 'BigInt']);

const resolve: GraphQLFieldResolver<Page, unknown> = (source, args, _context, info) => {
  const type = getNullableType(info.returnType);
  const named = getNamedType(type);
  const one = (): unknown => {
    if (isEnumType(named)) return named.getValues()[0]?.value;
    if (isObjectType(named) || isAbstractType(named)) return { length: args.first };
    return named.name === 'Boolean' ? true : numbers.has(named.name) ? 1 : 'a text';
  };
  return type instanceof GraphQLList ? Array.from({ length: source?.length ?? SHORT }, one) : one();
};

interface Request {
  query: string;
  variables?: Record<string, unknown>;
  operationName?: string;
}

async function answer({ query, variables, operationName }: Request): Promise<ExecutionResult> {
  const document = parse(query);
  const errors = validate(schema, document);
  if (errors.length > 0) return { errors };
  return execute({
    schema,
    document,
    variableValues: variables,
    operationName,
    fieldResolver: resolve,
    // Comments can be nested in each other: that is what a hostile document asks of `node`.
    typeResolver: (_value, _context, _info, abstract) =>
      abstract.name === 'Node' ? 'Comment' : schema.getPossibleTypes(abstract)[0]?.name,
  });
}

process.on('message', async (text: string) => {
  const before = process.cpuUsage();
  let bytes = 0;
  for (const one of [JSON.parse(text)].flat()) {
    try {
      bytes += JSON.stringify(await answer(one)).length;
    } catch (error) {
      bytes += String(error).length;
    }
  }
  const { user, system } = process.cpuUsage(before);
  process.send?.({ ms: (user + system) / 1_000, bytes });
});
process.send?.('ready');
