import { giveUp, setUp } from './setup.mjs';

const HELP = `npm run demo [-- FILE] [-- --exit] [-- --json]

Starts Sluice on embedded parts (DATA_DIR, ./data by default), uploads FILE, or a clip that it makes, through the public
API, and prints where to watch it. Stays up until Ctrl-C.

  --exit   ends when the video is ready
  --json   the last line on standard output is one JSON object; all else goes to standard error
  --help   this
`;

const args = process.argv.slice(2);
const flags = args.filter((arg) => arg.startsWith('--'));
const files = args.filter((arg) => !arg.startsWith('--'));
const unknown = flags.filter((flag) => !['--exit', '--json', '--help'].includes(flag));
if (unknown.length > 0 || files.length > 1)
  giveUp(`Not understood: ${[...unknown, ...files.slice(1)].join(' ')}\n\n${HELP}`);

if (flags.includes('--help')) {
  process.stdout.write(HELP);
} else {
  setUp();
  const { demo } = await import('./demo/demo.mjs');
  await demo({ file: files[0] ?? null, exit: flags.includes('--exit'), json: flags.includes('--json') });
}
