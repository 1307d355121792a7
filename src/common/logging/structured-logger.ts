import type { LoggerService } from '@nestjs/common';
import { type DestinationStream, destination, type Logger, pino, stdTimeFunctions } from 'pino';
import type { Config } from '../config/index.js';
import { logContext } from './log-context.js';
import { redact, withoutSecrets } from './redact.js';

type Level = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal';

/** Nest's logger over pino: one JSON object a line, with the ids of the request, user and job, and without secrets. */
export class StructuredLogger implements LoggerService {
  private readonly pino: Logger;

  constructor(
    config: Pick<Config, 'logLevel'> &
      Partial<Pick<Config, 'tokenSecret' | 'storageSecret' | 'playbackSecret' | 'metricsToken' | 's3' | 'smtp'>>,
    output: DestinationStream = destination({ fd: 1, sync: true }),
  ) {
    const { tokenSecret, storageSecret, playbackSecret, metricsToken, s3, smtp } = config;
    const smtpPassword = smtp && decodeURIComponent(new URL(smtp.url).password);
    const secrets = [tokenSecret, storageSecret, playbackSecret, metricsToken, s3?.secretKey, smtpPassword].filter(
      (secret): secret is string => Boolean(secret),
    );
    this.pino = pino(
      {
        level: config.logLevel,
        base: null,
        timestamp: stdTimeFunctions.isoTime,
        formatters: { level: (level) => ({ level }) },
        // A copy: pino puts the line's own fields into it.
        mixin: () => ({ ...logContext() }),
      },
      { write: (line: string) => output.write(redact(line, secrets)) },
    );
  }

  log(message: unknown, ...rest: unknown[]): void {
    this.write('info', message, rest);
  }
  error(message: unknown, ...rest: unknown[]): void {
    this.write('error', message, rest);
  }
  warn(message: unknown, ...rest: unknown[]): void {
    this.write('warn', message, rest);
  }
  debug(message: unknown, ...rest: unknown[]): void {
    this.write('debug', message, rest);
  }
  verbose(message: unknown, ...rest: unknown[]): void {
    this.write('trace', message, rest);
  }
  fatal(message: unknown, ...rest: unknown[]): void {
    this.write('fatal', message, rest);
  }

  /** Nest passes the name of the logger last and, with an error, its stack before that. */
  private write(level: Level, message: unknown, rest: unknown[]): void {
    const logger = typeof rest.at(-1) === 'string' ? (rest.pop() as string) : undefined;
    const fields: Record<string, unknown> = { logger };
    let text: string | undefined;
    for (const part of [message, ...rest]) {
      if (part instanceof Error) fields.err = withoutSecrets(part);
      else if (typeof part === 'object' && part !== null) Object.assign(fields, withoutSecrets(part));
      else if (typeof part === 'string' && /^\s+at /m.test(part)) fields.stack = part;
      else if (part !== undefined) text = text === undefined ? String(part) : `${text} ${String(part)}`;
    }
    this.pino[level](fields, text ?? (fields.err as { message?: string } | undefined)?.message);
  }
}
