import type { ApolloServerPlugin } from '@apollo/server';
import { ApolloServerPluginCacheControlDisabled } from '@apollo/server/plugin/disabled';
import { ApolloDriver, type ApolloDriverConfig } from '@nestjs/apollo';
import { Global, Logger, Module } from '@nestjs/common';
import { APP_FILTER, APP_PIPE, MetadataScanner } from '@nestjs/core';
import { type BuildSchemaOptions, GraphQLModule as NestGraphQLModule } from '@nestjs/graphql';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { GraphQLError } from 'graphql';
import { CONFIG, type Config } from '../config/index.js';
import { Pages } from '../http/index.js';
import { TooOften } from '../rate-limits/index.js';
import { Budgets } from './budgets.js';
import { DocumentCache } from './document-cache.js';
import { EventStreams } from './event-streams.js';
import { countOperation } from './graphql-metrics.js';
import { inputValidation } from './input-validation.js';
import { LIMITS, limitRules, priceOf } from './limits.js';
import { Node } from './node.graphql.js';
import { NodeQuery, NodeResolvers } from './node.resolver.js';
import { NullForNotFound } from './null-for-not-found.js';
import type { OperationContext } from './operation-context.js';
import { Operations } from './operations.js';
import { presentError } from './present-error.js';
import { RateLimitQuery } from './rate-limit.resolver.js';
import { GraphQLDateTime } from './scalars.js';
import { signsIn } from './signing-in.js';
import { UserError } from './user-errors.graphql.js';
import { WebSockets } from './web-sockets.js';

@Global()
@Module({ providers: [Budgets, Operations], exports: [Operations] })
class OperationsModule {}

/** How the schema is made of the classes; also for writing schema.graphql without a server. */
export const buildSchemaOptions: BuildSchemaOptions = {
  // Types that are found only through the interface they implement.
  orphanedTypes: [UserError, Node],
  scalarsMap: [{ type: Date, scalar: GraphQLDateTime }],
};

function apolloOptions(config: Config, operations: Operations, pages: Pages): Omit<ApolloDriverConfig, 'driver'> {
  const { graphqlIntrospection } = config;
  return {
    path: '/graphql',
    autoSchemaFile: true,
    sortSchema: true,
    buildSchemaOptions,
    context: async (req: FastifyRequest, reply: FastifyReply) => {
      const { authorization, 'user-agent': userAgent } = req.headers;
      const isSigningIn = signsIn((req.body as { query?: unknown } | null | undefined)?.query);
      const context = await operations.contextOf({ authorization, ip: req.ip, userAgent, isSigningIn, req, reply });
      try {
        operations.check(context);
      } catch (error) {
        throw refusalOf(error, reply);
      }
      return context;
    },
    // The limits: also in operations.ts, for the other transports.
    parseOptions: { maxTokens: LIMITS.tokens },
    validationRules: limitRules({ introspection: graphqlIntrospection }),
    introspection: true,
    documentStore: new DocumentCache(),
    persistedQueries: false,
    allowBatchedHttpRequests: false,
    csrfPrevention: true,
    formatError: (_formatted, error) => presentError(asGraphQLError(error)).toJSON(),
    autoTransformHttpErrors: false,
    includeStacktraceInErrorResponses: false,
    nodeEnv: 'production',
    graphiql: false,
    plugins: [ApolloServerPluginCacheControlDisabled(), budgeted(operations), measured, graphiqlPage(pages)],
    logger: apolloLogger,
    stopOnTerminationSignals: false,
    // After the HTTP server has answered what was under way.
    stopOnApplicationShutdown: true,
  };
}

/** What `Operations.prepare` does for the other transports: looks what an operation costs, and has it paid. */
const budgeted = (operations: Operations): ApolloServerPlugin<OperationContext> => ({
  requestDidStart: async () => ({
    async didResolveOperation({ schema, document, request, contextValue }) {
      const { cost, error } = priceOf(schema, document, request.operationName, request.variables);
      await pay(operations, contextValue, cost);
      if (!error) return;
      throw new GraphQLError(error.message, {
        nodes: error.nodes,
        extensions: { ...error.extensions, http: { status: 400 } },
      });
    },
    // Also of what could not be read. The answer stays: whoever has nothing left then is told the next time.
    async didEncounterErrors({ contextValue, errors: [error] }) {
      if (contextValue.spent || isTooOften(error)) return;
      try {
        await pay(operations, contextValue, null);
      } catch (refusal) {
        if (!isTooOften(refusal)) throw refusal;
      }
    },
  }),
});

async function pay(operations: Operations, context: OperationContext, cost: number | null): Promise<void> {
  try {
    await operations.pay(context, cost);
    context.reply?.headers(context.spent?.headers ?? {});
  } catch (error) {
    throw refusalOf(error, context.reply);
  }
}

const isTooOften = (error: unknown) => error instanceof GraphQLError && error.originalError instanceof TooOften;

/** With what plain HTTP says of it beside. */
function refusalOf(error: unknown, reply: FastifyReply | undefined): unknown {
  if (!(error instanceof TooOften)) return error;
  reply?.headers(error.headers);
  const { message: said, statusCode: status } = error;
  return new GraphQLError(said, { originalError: error, extensions: { http: { status } } });
}

/** What was refused before it could run has no root field that is known to be the schema's. */
const measured: ApolloServerPlugin = {
  requestDidStart: async () => {
    const startedAt = performance.now();
    return {
      async willSendResponse({ document, operation }) {
        if (document && operation) countOperation(document, operation, startedAt);
      },
    };
  },
};

const graphiqlPage = (pages: Pages): ApolloServerPlugin => ({
  serverWillStart: async () => ({ renderLandingPage: async () => ({ html: () => pages.read('graphiql.html') }) }),
});

const log = new Logger('Apollo');
const apolloLogger = {
  debug: (message: unknown) => log.debug(message),
  info: (message: unknown) => log.log(message),
  warn: (message: unknown) => log.warn(message),
  error: (message: unknown) => log.error(message),
};

function asGraphQLError(error: unknown): GraphQLError {
  if (error instanceof GraphQLError) return error;
  const originalError = error instanceof Error ? error : new Error(String(error));
  return new GraphQLError(originalError.message, { originalError });
}

/** GraphQL over HTTP, WebSocket and server-sent events. Wants an `ActorResolver` from some module. */
@Module({
  imports: [
    OperationsModule,
    NestGraphQLModule.forRootAsync<ApolloDriverConfig>({
      driver: ApolloDriver,
      inject: [CONFIG, Operations, Pages],
      useFactory: apolloOptions,
    }),
  ],
  providers: [
    MetadataScanner,
    NodeResolvers,
    NodeQuery,
    RateLimitQuery,
    WebSockets,
    EventStreams,
    { provide: APP_PIPE, useFactory: inputValidation },
    { provide: APP_FILTER, useClass: NullForNotFound },
  ],
})
export class GraphqlModule {}
