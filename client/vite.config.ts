import { fileURLToPath } from 'node:url';
import { build, defineConfig, type Plugin, type Rolldown } from 'vite';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** What React and Uppy stand on is the one file that a plain page loads, too. */
const onTheClient: Plugin = {
  name: 'on-the-client',
  enforce: 'pre',
  resolveId: (id) => {
    if (id === '../index.js') return { id: './sluice.js', external: true };
    return id === '../api/index.js' ? { id: './api.js', external: true } : null;
  },
};

const HASHING = here('src/hashing.ts');

/** One function with all that it imports: a worker is made from its text, and the page may call it itself. */
export const selfContained: Plugin = {
  name: 'self-contained',
  async load(id) {
    if (id !== HASHING) return null;
    const lib = { entry: id, name: 'all', formats: ['iife' as const] };
    const options = { configFile: false as const, publicDir: false as const, logLevel: 'warn' as const };
    const [built] = (await build({
      ...options,
      build: { lib, write: false, target: 'es2022' },
    })) as Rolldown.RolldownOutput[];
    return `export function hashing() { ${built?.output[0].code} return all.hashing(); }`;
  },
};

/** Notes for bundlers that would leave parts of it out: nobody wants less than all of it. */
const withoutNotes: Plugin = {
  name: 'without-notes',
  generateBundle(_, bundle) {
    for (const file of Object.values(bundle)) {
      if (file.type === 'chunk') file.code = file.code.replaceAll('/* @__PURE__ */ ', '');
    }
  },
};

/**
 * `vite build client` makes the modules for browsers, `--mode node` the one for Node. Everything that they need is in
 * them, React and Uppy apart.
 */
export default defineConfig(({ mode }) => {
  const isNode = mode === 'node';
  const entry: Record<string, string> = isNode
    ? { sluice: here('src/node.ts'), cli: here('src/cli/main.ts') }
    : {
        sluice: here('src/index.ts'),
        api: here('src/api/index.ts'),
        react: here('src/react/index.ts'),
        people: here('src/react/people.ts'),
        discovery: here('src/react/discovery.ts'),
        uppy: here('src/uppy/index.ts'),
      };
  return {
    root: here('.'),
    publicDir: false,
    plugins: [onTheClient, selfContained, withoutNotes],
    build: {
      outDir: here(isNode ? 'dist/node' : 'dist/browser'),
      emptyOutDir: true,
      target: isNode ? 'node20' : 'es2022',
      minify: isNode ? false : 'oxc',
      ssr: isNode,
      lib: {
        entry,
        formats: ['es'],
      },
      rolldownOptions: {
        external: [/^node:/, /^react/, /^@uppy\//],
        output: { entryFileNames: '[name].js', chunkFileNames: '[name].js', minify: !isNode },
      },
    },
  };
});
