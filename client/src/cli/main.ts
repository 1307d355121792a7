import { LOGIN_HELP, LOGOUT_HELP, login, logout } from './login.js';
import { EXIT, Problem } from './problem.js';
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
    process.stderr.write(`There is no command ${name}.\n\n${HELP}`);
    return EXIT.usage;
  }
  if (args.includes('--help') || args.includes('-h')) {
    process.stdout.write(command.help);
    return EXIT.done;
  }
  try {
    return await command.run(args);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    process.stderr.write(`${error.message}\n`);
    return error.exitCode;
  }
}
