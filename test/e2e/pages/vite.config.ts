import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** One script a page, as a frontend team would build it. */
export default defineConfig({
  root: here('.'),
  resolve: { alias: { '@sluice/client': here('../../../client/dist/browser') } },
  build: {
    minify: false,
    target: 'es2022',
    chunkSizeWarningLimit: 4096,
    rolldownOptions: {
      input: ['tus.js', 'uppy-tus.js', 'uppy-sluice.js', 'react.jsx'].map(here),
      preserveEntrySignatures: false,
      output: { entryFileNames: '[name].js' },
    },
  },
});
