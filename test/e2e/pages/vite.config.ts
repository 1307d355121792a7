import { fileURLToPath } from 'node:url';
import { defineConfig, type Plugin } from 'vite';
import { documentedExamples } from '../documented-examples.js';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** Every documented example that is a module, as if it were a file of its own. */
const modules = new Map(
  ['uploads.md', 'people.md', 'discovery.md']
    .flatMap((file) => [...documentedExamples(file)])
    .filter(([name]) => /\.jsx?$/.test(name))
    .map(([name, code]) => [here(`documented-${name}`), code] as const),
);
const documented: Plugin = {
  name: 'documented',
  resolveId: (id) => (modules.has(id) ? id : null),
  load: (id) => modules.get(id) ?? null,
};

/** One script a page, as a frontend team would build it. */
export default defineConfig({
  root: here('.'),
  plugins: [documented],
  resolve: {
    alias: {
      '@sluice/client/react/discovery': here('../../../client/dist/browser/discovery.js'),
      '@sluice/client/react/people': here('../../../client/dist/browser/people.js'),
      '@sluice/client': here('../../../client/dist/browser'),
    },
  },
  build: {
    target: 'es2022',
    chunkSizeWarningLimit: 4096,
    rolldownOptions: {
      input: [...['tus.js', 'uppy-tus.js', 'uppy-sluice.js', 'react.jsx'].map(here), ...modules.keys()],
      external: /^https:/,
      preserveEntrySignatures: 'strict',
      output: { entryFileNames: '[name].js' },
    },
  },
});
