import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** One script a page, as a frontend team would build it. */
export default defineConfig({
  root: here('.'),
  build: {
    minify: false,
    target: 'es2022',
    chunkSizeWarningLimit: 4096,
    rolldownOptions: {
      input: ['tus.js', 'uppy-tus.js'].map(here),
      preserveEntrySignatures: false,
      output: { entryFileNames: '[name].js' },
    },
  },
});
