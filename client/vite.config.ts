import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/**
 * `vite build client` makes the modules for browsers, `--mode node` the one for Node. Everything that they need is in
 * them, React apart.
 */
export default defineConfig(({ mode }) => {
  const isNode = mode === 'node';
  return {
    root: here('.'),
    publicDir: false,
    build: {
      outDir: here(isNode ? 'dist/node' : 'dist/browser'),
      emptyOutDir: true,
      target: isNode ? 'node20' : 'es2022',
      minify: isNode ? false : 'oxc',
      ssr: isNode,
      lib: {
        entry: { sluice: here(isNode ? 'src/node.ts' : 'src/index.ts') },
        formats: ['es'],
      },
      rolldownOptions: {
        external: [/^node:/, /^react/],
        output: { entryFileNames: '[name].js', chunkFileNames: '[name].js', minify: !isNode },
      },
    },
  };
});
