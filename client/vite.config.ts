import { fileURLToPath } from 'node:url';
import { defineConfig, type Plugin } from 'vite';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** What React and Uppy stand on is the one file that a plain page loads, too. */
const onTheClient: Plugin = {
  name: 'on-the-client',
  enforce: 'pre',
  resolveId: (id) => (id === '../index.js' ? { id: './sluice.js', external: true } : null),
};

/**
 * `vite build client` makes the modules for browsers, `--mode node` the one for Node. Everything that they need is in
 * them, React and Uppy apart.
 */
export default defineConfig(({ mode }) => {
  const isNode = mode === 'node';
  return {
    root: here('.'),
    publicDir: false,
    plugins: [onTheClient],
    build: {
      outDir: here(isNode ? 'dist/node' : 'dist/browser'),
      emptyOutDir: true,
      target: isNode ? 'node20' : 'es2022',
      minify: isNode ? false : 'oxc',
      ssr: isNode,
      lib: {
        entry: isNode
          ? { sluice: here('src/node.ts'), cli: here('src/cli/main.ts') }
          : { sluice: here('src/index.ts'), react: here('src/react/index.ts'), uppy: here('src/uppy/index.ts') },
        formats: ['es'],
      },
      rolldownOptions: {
        external: [/^node:/, /^react/, /^@uppy\//],
        output: { entryFileNames: '[name].js', chunkFileNames: '[name].js', minify: !isNode },
      },
    },
  };
});
