import { setUp } from './setup.mjs';

if (process.argv.includes('--help')) {
  process.stdout.write(`npm start

Starts Sluice: what is not configured (PostgreSQL, Redis, object storage) runs embedded on DATA_DIR (./data).
Ctrl-C or SIGTERM ends it cleanly. Options are environment variables: README.md has the table.

  PORT=8080 DATA_DIR=/srv/sluice npm start
`);
} else {
  setUp();
  process.env.NODE_ENV ??= 'production';
  await import('../dist/main.js');
}
