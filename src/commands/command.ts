import { fileURLToPath } from 'node:url';
import { type ParseArgsConfig, parseArgs } from 'node:util';
import type { DynamicModule, INestApplicationContext, Type } from '@nestjs/common';
import { type Config, readSettings } from '../common/config/index.js';
import { embed } from '../embedded/index.js';
import { explain } from '../explain.js';

export const MIGRATIONS = fileURLToPath(new URL('../../migrations/', import.meta.url));

type Options = NonNullable<ParseArgsConfig['options']>;
type Given<O extends Options> = ReturnType<typeof parseArgs<{ options: O; allowPositionals: true }>>;

export interface Command<O extends Options> {
  /** What `--help` prints. */
  readonly help: string;
  readonly options: O;
  /** @returns the exit code: 0 done, 1 done and something is wrong; whatever it throws is 2 */
  run(config: Config, given: Given<O>): Promise<number>;
}

/** For what an operator can mend: told without a stack. */
export class CommandError extends Error {}

/**
 * Runs an operator's command as this process. Where a server runs on embedded parts, the command joins them; where none
 * does, it starts them for its own time. Results go to standard output, all else to standard error.
 */
export async function runCommand<O extends Options>({ help, options, run }: Command<O>): Promise<void> {
  let given: Given<O>;
  try {
    given = parseArgs({ options: { ...options, help: { type: 'boolean' } }, allowPositionals: true }) as Given<O>;
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${help}`);
    process.exitCode = 2;
    return;
  }
  if ((given.values as { help?: boolean }).help) {
    process.stdout.write(help);
    return;
  }
  let stop: (() => Promise<void>) | undefined;
  try {
    const embedded = await embed(readSettings(), { join: true });
    stop = embedded.stop;
    for (const [signal, code] of [
      ['SIGINT', 130],
      ['SIGTERM', 143],
    ] as const) {
      process.once(signal, () => void embedded.stop().finally(() => process.exit(code)));
    }
    process.exitCode = await run(embedded.config, given);
  } catch (error) {
    process.stderr.write(error instanceof CommandError ? `${error.message}\n` : explain(error));
    process.exitCode = 2;
  } finally {
    await stop?.();
  }
}

/** These modules on the configured parts, without a server and without working off jobs, for as long as `use` takes. */
export async function withModules<T>(
  config: Config,
  modules: (Type | DynamicModule)[],
  use: (context: INestApplicationContext) => Promise<T>,
): Promise<T> {
  const [{ NestFactory }, { configModule }, { StructuredLogger }, { destination }] = await Promise.all([
    import('@nestjs/core'),
    import('../common/config/index.js'),
    import('../common/logging/index.js'),
    import('pino'),
  ]);
  const context = await NestFactory.createApplicationContext(
    { module: CommandModule, imports: [configModule({ ...config, role: 'api' }), ...modules] },
    {
      logger: new StructuredLogger({ ...config, logLevel: 'warn' }, destination({ fd: 2, sync: true })),
      abortOnError: false,
    },
  );
  try {
    return await use(context);
  } finally {
    await context.close();
  }
}

class CommandModule {}
