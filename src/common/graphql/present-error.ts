import { HttpException, Logger } from '@nestjs/common';
import { GraphQLError } from 'graphql';
import { DomainError, Refusal, SeveralErrors } from '../errors/index.js';
import { logContext } from '../logging/index.js';
import { graphqlErrors } from './graphql-metrics.js';

const logger = new Logger('GraphQL');

/** Codes of errors that GraphQL and Apollo find in the request itself. Their messages are meant for the client. */
const REQUEST_CODES = new Set([
  'BAD_REQUEST',
  'BAD_USER_INPUT',
  'GRAPHQL_PARSE_FAILED',
  'GRAPHQL_VALIDATION_FAILED',
  'OPERATION_RESOLUTION_FAILURE',
  'PERSISTED_QUERY_NOT_SUPPORTED',
]);
const HTTP_CODES: Record<number, string> = {
  400: 'BAD_USER_INPUT',
  401: 'UNAUTHENTICATED',
  403: 'FORBIDDEN',
  404: 'NOT_FOUND',
  429: 'RATE_LIMITED',
};

/**
 * The one place that decides what a client is told of an error, on every transport: a failure that the caller can act
 * on as it is, anything unexpected as INTERNAL with a `traceId` by which the log has it. Never a stack.
 */
export function presentError(error: GraphQLError): GraphQLError {
  const { message, extensions } = describe(error);
  graphqlErrors.inc({ code: String(extensions.code) });
  return new GraphQLError(message, {
    nodes: error.nodes,
    source: error.source,
    positions: error.positions,
    path: error.path,
    extensions,
  });
}

function describe(error: GraphQLError): { message: string; extensions: Record<string, unknown> } {
  const cause = causeOf(error);
  if (cause instanceof Refusal) return { message: cause.message, extensions: { code: cause.code, ...cause.details } };
  if (cause instanceof SeveralErrors) {
    const errors = cause.errors.map((one) => ({ message: one.message, field: (one as DomainError).field ?? null }));
    return { message: cause.message, extensions: { code: 'BAD_USER_INPUT', errors } };
  }
  if (cause instanceof DomainError) {
    const { code, field, message, graphqlType, options } = cause;
    const known = graphqlType === 'InvalidInput' ? { code: 'BAD_USER_INPUT', reason: code } : { code };
    return { message, extensions: { ...known, field, ...options.details } };
  }
  if (cause instanceof HttpException) {
    const code = HTTP_CODES[cause.getStatus()];
    if (code) return { message: cause.message, extensions: { code } };
  }
  if (cause instanceof GraphQLError) {
    const code = requestCode(error, cause);
    if (code) return { message: withoutSuggestion(error.message), extensions: { code } };
  }
  const traceId = logContext().requestId;
  logger.error({ err: cause, path: error.path?.join('.') }, 'unexpected error');
  return {
    message: 'Something went wrong on our side. Say the traceId when you report it.',
    extensions: { code: 'INTERNAL', traceId },
  };
}

function requestCode(error: GraphQLError, cause: GraphQLError): string | null {
  // Both say what is wrong; Apollo's wrapper has the coarser code of the step that failed.
  for (const { code } of [cause.extensions, error.extensions]) {
    if (typeof code === 'string' && REQUEST_CODES.has(code)) return code;
  }
  // graphql-js itself gives no codes.
  if (/^(Unknown operation named|Must provide (an )?operation|Unable to identify operation)/.test(error.message)) {
    return 'OPERATION_RESOLUTION_FAILURE';
  }
  // Before anything runs it can only be a variable; later it may also be that we answered what a scalar cannot hold.
  return !error.path || /^Argument "/.test(error.message) ? 'BAD_USER_INPUT' : null;
}

function causeOf(error: Error): Error {
  let cause = error;
  while (cause instanceof GraphQLError && cause.originalError) cause = cause.originalError;
  return cause;
}

/** graphql-js names parts of the schema that are near to what was asked: not for those who may not read the schema. */
function withoutSuggestion(message: string): string {
  return message.replace(/ ?Did you mean .+?\?$/s, '');
}
