import { type ArgumentsHost, Catch, type ExceptionFilter, HttpException, Logger } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { logContext } from '../logging/index.js';

/**
 * What nobody caught. GraphQL presents its errors by itself; over plain HTTP the answer is a status and
 * `{ message, traceId }`, and what was not meant for the client stays in the log.
 */
@Catch()
export class UncaughtErrors implements ExceptionFilter {
  private readonly logger = new Logger('HTTP');

  catch(error: unknown, host: ArgumentsHost): void {
    if (host.getType<string>() === 'graphql') throw error;
    const reply = host.switchToHttp().getResponse<FastifyReply>();
    const status = statusOf(error);
    const traceId = logContext().requestId ?? reply.request?.id;
    if (status >= 500) this.logger.error({ err: error, traceId }, 'unexpected error');
    // Part of the answer is out already: cutting it off is the only honest end.
    if (reply.raw.headersSent) {
      reply.raw.destroy();
      return;
    }
    const message = status < 500 && error instanceof Error ? error.message : 'Something went wrong on our side.';
    reply.status(status).send({ message, traceId });
  }
}

/** Nest's exceptions and Fastify's errors (a body too large, say) both say which status they are. */
function statusOf(error: unknown): number {
  if (error instanceof HttpException) return error.getStatus();
  const { statusCode } = error as { statusCode?: unknown };
  return typeof statusCode === 'number' && statusCode >= 400 && statusCode < 600 ? statusCode : 500;
}
