import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { GraphQLSchemaHost } from '@nestjs/graphql';
import type { FastifyReply, FastifyRequest } from 'fastify';
import {
  createSourceEventStream,
  type DocumentNode,
  type ExecutionArgs,
  type ExecutionResult,
  execute,
  GraphQLError,
  type GraphQLSchema,
  getOperationAST,
  parse,
  validate,
} from 'graphql';
import { ActorResolver } from '../access/index.js';
import { CONFIG, type Config } from '../config/index.js';
import { EventStream } from '../live/index.js';
import { noteInLog } from '../logging/index.js';
import { TooOften } from '../rate-limits/index.js';
import { Budgets } from './budgets.js';
import { DocumentCache } from './document-cache.js';
import { labelsOf, liveSubscriptions } from './graphql-metrics.js';
import { LIMITS, priceOf, validationRules } from './limits.js';
import { Loaders } from './loaders.js';
import type { OperationContext } from './operation-context.js';
import { presentError } from './present-error.js';
import { type Outlet, SharedStreams } from './shared-streams.js';

/** From whom a request or socket comes. */
export interface Caller {
  /** The value of the Authorization header, or what stands for it in connection_init. */
  authorization: string | undefined;
  ip: string;
  userAgent: string | undefined;
  isSigningIn?: boolean;
  req?: FastifyRequest;
  reply?: FastifyReply;
}

/** What a client asks to run. Everything in it is untrusted. */
export interface OperationRequest {
  query: string;
  operationName?: string | null;
  variables?: Record<string, unknown> | null;
}

/** An operation before and while it runs: the parts that all transports share. */
@Injectable()
export class Operations implements OnModuleInit {
  private readonly documents = new DocumentCache();
  private readonly shared = new SharedStreams(executeSafely);
  private actors: ActorResolver;

  constructor(
    @Inject(CONFIG) private readonly config: Config,
    private readonly modules: ModuleRef,
    private readonly budgets: Budgets,
  ) {}

  onModuleInit(): void {
    // Filled by a domain module, which this one must not import.
    this.actors = this.modules.get(ActorResolver, { strict: false });
  }

  get schema(): GraphQLSchema {
    return this.modules.get(GraphQLSchemaHost, { strict: false }).schema;
  }

  /** Who calls, found out once for the request or socket. */
  async contextOf(caller: Caller): Promise<OperationContext> {
    const { authorization, ip, userAgent, isSigningIn, req, reply } = caller;
    const token = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1];
    const actor = token ? await this.actors.resolve(token) : null;
    if (actor) noteInLog({ userId: actor.userId });
    const badToken = Boolean(authorization) && !actor;
    return { actor, badToken, loaders: new Loaders(), ip, userAgent: userAgent ?? null, isSigningIn, req, reply };
  }

  /**
   * Pays for it, too: also for what is refused. The context is of this operation alone.
   * @returns what to execute, or why not: nothing of it has run then
   * @throws TooOften
   */
  async prepare(
    request: OperationRequest,
    contextValue: OperationContext,
  ): Promise<ExecutionArgs | readonly GraphQLError[]> {
    const { query, operationName, variables: variableValues } = request;
    try {
      this.budgets.check(contextValue);
      const document = this.documentOf(query);
      if (!('kind' in document)) {
        await this.pay(contextValue, null);
        return document.map(presentError);
      }
      const { schema } = this;
      const { cost, error } = priceOf(schema, document, operationName, variableValues);
      await this.pay(contextValue, cost);
      return error ? [presentError(error)] : { schema, document, operationName, variableValues, contextValue };
    } catch (error) {
      if (error instanceof TooOften) throw error;
      return [presentError(asGraphQLError(error))];
    }
  }

  /**
   * @param cost null for what was refused, or cannot run
   * @throws TooOften
   */
  async pay(context: OperationContext, cost: number | null): Promise<void> {
    context.spent = await this.budgets.spend(context, cost);
  }

  /** @throws TooOften when the caller is known to have nothing left */
  check(context: OperationContext): void {
    this.budgets.check(context);
  }

  /**
   * Like graphql's `subscribe`, with fresh loaders for each event and errors as clients may see them.
   *
   * @param outlet where the results may be written to directly; then the iterator gives only how it ended
   */
  async subscribe(
    args: ExecutionArgs,
    outlet: Outlet | null = null,
  ): Promise<AsyncGenerator<ExecutionResult> | ExecutionResult> {
    const context = args.contextValue as OperationContext;
    const source = await createSourceEventStream(args);
    if (!(Symbol.asyncIterator in source)) return present(source);
    const shared = outlet && source instanceof EventStream ? this.shared.join(args, source, outlet) : null;
    const events = shared ?? source[Symbol.asyncIterator]();
    let isPaid = true;
    // One payment is for one execution: a stream that goes on for hours would be free otherwise. Those that share one need not pay.
    const run = async (event: unknown) => {
      if (!isPaid) await this.pay(context, context.spent?.cost ?? null);
      isPaid = false;
      return present(
        await execute({ ...args, rootValue: event, contextValue: { ...context, loaders: new Loaders() } }),
      );
    };
    const { document, operationName } = args;
    const operation = getOperationAST(document, operationName);
    const labels = { field: operation ? labelsOf(document, operation).field : 'none' };
    liveSubscriptions.inc(labels);
    return resultsOf(events, run, () => liveSubscriptions.dec(labels));
  }

  isSubscription({ document, operationName }: ExecutionArgs): boolean {
    return getOperationAST(document, operationName)?.operation === 'subscription';
  }

  /** Whether it is the one query that runs on every transport: how the caller stands there. */
  isRateLimit({ document, operationName }: ExecutionArgs): boolean {
    const operation = getOperationAST(document, operationName);
    return operation?.operation === 'query' && labelsOf(document, operation).field === 'rateLimit';
  }

  run(args: ExecutionArgs): Promise<ExecutionResult> {
    return executeSafely(args);
  }

  private documentOf(query: string): DocumentNode | readonly GraphQLError[] {
    const known = this.documents.find(query);
    if (known) return known;
    let document: DocumentNode;
    try {
      document = parse(query, { maxTokens: LIMITS.tokens });
    } catch (error) {
      if (!(error instanceof GraphQLError)) throw error;
      return [withCode(error, 'GRAPHQL_PARSE_FAILED')];
    }
    const errors = validate(
      this.schema,
      document,
      validationRules({ introspection: this.config.graphqlIntrospection }),
    );
    if (errors.length > 0) return errors.map((error) => withCode(error, 'GRAPHQL_VALIDATION_FAILED'));
    this.documents.keep(query, document);
    return document;
  }
}

/**
 * A generator would keep `return()` waiting until the next event: this hands it on to the source at once.
 * @param ended is called once, however it ends
 */
function resultsOf(
  events: AsyncIterator<unknown>,
  run: (event: unknown) => Promise<ExecutionResult>,
  ended: () => void,
): AsyncGenerator<ExecutionResult> {
  let isOver = false;
  const over = () => {
    if (!isOver) ended();
    isOver = true;
  };
  const end = async (): Promise<IteratorResult<ExecutionResult>> => {
    over();
    await events.return?.();
    return { value: undefined, done: true };
  };
  return {
    async next() {
      try {
        const { value, done } = await events.next();
        if (done) over();
        return done ? { value: undefined, done } : { value: await run(value), done: false };
      } catch (error) {
        // The source failed: its error is the last event.
        await end();
        events = { next: async () => ({ value: undefined, done: true }) };
        return { value: { errors: [presentError(asGraphQLError(error))] }, done: false };
      }
    },
    return: end,
    async throw(error) {
      await end();
      throw error;
    },
    [Symbol.asyncIterator]() {
      return this;
    },
    async [Symbol.asyncDispose]() {
      await end();
    },
  };
}

function asGraphQLError(error: unknown): GraphQLError {
  if (error instanceof GraphQLError) return error;
  return new GraphQLError('The operation failed.', {
    originalError: error instanceof Error ? error : new Error(String(error)),
  });
}

async function executeSafely(args: ExecutionArgs): Promise<ExecutionResult> {
  try {
    return present(await execute(args));
  } catch (error) {
    return { errors: [presentError(asGraphQLError(error))] };
  }
}

function present(result: ExecutionResult): ExecutionResult {
  return result.errors ? { ...result, errors: result.errors.map(presentError) } : result;
}

function withCode(error: GraphQLError, code: string): GraphQLError {
  const { message, nodes, source, positions } = error;
  return new GraphQLError(message, { nodes, source, positions, extensions: { code } });
}
