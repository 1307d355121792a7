import { type ParseArgsConfig, parseArgs } from 'node:util';
import { EXIT, Problem } from './problem.js';

/** Like `parseArgs`, with a sentence for people where it does not understand. */
export function parse<const Options extends NonNullable<ParseArgsConfig['options']>>(args: string[], options: Options) {
  try {
    return parseArgs({ args, options, allowPositionals: true });
  } catch (error) {
    const [sentence] = (error as Error).message.split(/\. |\n/);
    throw new Problem(`${sentence}. See --help.`, EXIT.usage);
  }
}

export function noMore(positionals: readonly string[]): void {
  if (positionals.length > 0) throw new Problem(`Not understood: ${positionals.join(' ')}. See --help.`, EXIT.usage);
}
