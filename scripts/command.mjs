// npm run NAME -- OPTIONS: an operator's command, src/commands/NAME.ts.
import { ensureBuilt, ensurePackages } from './setup.mjs';

ensurePackages();
ensureBuilt({ parts: ['server'] });
process.env.NODE_ENV ??= 'production';
const [name] = process.argv.splice(2, 1);
await import(`../dist/commands/${name}.js`);
