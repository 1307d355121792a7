import { LOGIN_HELP, LOGOUT_HELP, login, logout } from './login.js';
import { renewalsOver } from './logins.js';
import { EXIT, Problem, plain } from './problem.js';
import { STATUS_HELP, status } from './status.js';
import { UPLOAD_HELP, upload } from './upload.js';

const HELP = `npx sluice COMMAND

  login      sign in, and stay so
  upload     upload videos over any link; run again it goes on
  status     what is unfinished
  logout     sign out

Each has --help, with examples.
`;

const COMMANDS: Record<string, { run: (args: string[]) => Promise<number>; help: string }> = {
  login: { run: login, help: LOGIN_HELP },
  logout: { run: logout, help: LOGOUT_HELP },
  upload: { run: upload, help: UPLOAD_HELP },
  status: { run: status, help: STATUS_HELP },
};

/** `sluice …`. @returns the exit code, of `EXIT` */
export async function main([name, ...args]: string[]): Promise<number> {
  if (name === undefined || ['help', '--help', '-h'].includes(name)) {
    process.stdout.write(HELP);
    return name === undefined ? EXIT.usage : EXIT.done;
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (!command) {
    process.stderr.write(`There is no command ${plain(name)}.\n\n${HELP}`);
    return EXIT.usage;
  }
  if (args.includes('--help') || args.includes('-h')) {
    process.stdout.write(command.help);
    return EXIT.done;
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void end(EXIT.interrupted));
  for (const out of [process.stdout, process.stderr]) {
    // `| head` has read enough.
    out.on('error', ({ code }: NodeJS.ErrnoException) => void end(code === 'EPIPE' ? EXIT.nobodyReads : EXIT.failed));
  }
  try {
    return await command.run(args);
  } catch (error) {
    // Of the system: a disk that is full, a folder that may not be written.
    if (!(error instanceof Problem || 'syscall' in (error as Error))) throw error;
    process.stderr.write(`${plain((error as Error).message)}\n`);
    return error instanceof Problem ? error.exitCode : EXIT.failed;
  }
}

async function end(code: number): Promise<void> {
  await renewalsOver();
  process.exit(code);
}
