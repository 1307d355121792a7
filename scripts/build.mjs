import { ensureBuilt, ensurePackages } from './setup.mjs';

ensurePackages();
ensureBuilt({ force: true });
