import { fileURLToPath } from 'node:url';
import { defineConfig, type Plugin } from 'vite';
import { selfContained } from '../client/vite.config.js';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** Shaka's style sheet loads its font from Google. The pages work without any other host, so the rule goes. */
const withoutRemoteFonts: Plugin = {
  name: 'without-remote-fonts',
  enforce: 'pre',
  transform(code, id) {
    if (!id.includes('shaka-player') || !id.endsWith('.css')) return null;
    return code.replace(/@font-face\s*\{[^}]*https?:[^}]*\}/g, '');
  },
};

/** The pages: each entry is one HTML file in dist/web, everything else is hashed under dist/web/assets. */
export default defineConfig({
  root: here('.'),
  plugins: [withoutRemoteFonts, selfContained],
  build: {
    outDir: here('../dist/web'),
    emptyOutDir: true,
    target: 'es2022',
    // Monaco, and so GraphiQL, is that large; no other page loads it.
    chunkSizeWarningLimit: 4096,
    rolldownOptions: {
      input: ['index', 'search', 'channel', 'watch', 'upload', 'account', 'setup', 'reset', 'graphiql'].map((page) =>
        here(`${page}.html`),
      ),
      // "use client" of React libraries means something to servers that render; nothing here.
      onLog: (level, log, handle) => log.code !== 'MODULE_LEVEL_DIRECTIVE' && handle(level, log),
    },
  },
});
