import { styleText } from 'node:util';
import { examineAll, findingsOf, inLines } from '../doctor/index.js';
import { MIGRATIONS, runCommand } from './command.js';

await runCommand({
  help: `npm run doctor [-- --json] [-- --ignore CODE,CODE]

Looks at everything that the configuration leads to (database, Redis, object store, PUBLIC_URL with the proxy before it,
ffmpeg and its sandbox, disk, secrets, mail) and says what is wrong and what to do. Run it beside a running server, with
the server's environment. What it writes, it removes.

  --ignore CODES   findings that are known, separated by commas
  --json           one line of JSON on standard output

Exit code: 0 nothing is wrong; 1 something is; 2 it could not look. docs/operations/doctor.md explains every finding.
`,
  options: { json: { type: 'boolean' }, ignore: { type: 'string' } },
  run: async (config, { values }) => {
    const ignored = new Set((values.ignore ?? '').split(',').map((code) => code.trim()));
    const outcomes = await examineAll(config, MIGRATIONS);
    const findings = findingsOf(outcomes).filter(({ code }) => !ignored.has(code));
    const coloured = process.stdout.isTTY && process.stdout.hasColors();
    process.stdout.write(
      values.json
        ? `${JSON.stringify({ healthy: findings.length === 0, checks: outcomes.length, findings })}\n`
        : inLines(outcomes, ignored, coloured ? styleText : undefined),
    );
    return findings.length > 0 ? 1 : 0;
  },
});
