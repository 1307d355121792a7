import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { temporaryFolder } from '../support/index.js';
import { documentedExamples } from './documented-examples.js';

const ROOT = join(import.meta.dirname, '../..');

export interface UploadPages {
  /** `/NAME` is the page of `pages/NAME.js`, `/documented-NAME` that of an example of docs/uploads.md, people.md or discovery.md. */
  readonly url: string;
  /** What stands for itself in examples, and what for. */
  values: Record<string, string>;
  /** Content-Security-Policy of the pages that are opened from then on; '' is none. */
  policy: string;
  close(): void;
}

/** Builds what is in `pages` and documented, and serves it from an origin of its own, as a frontend team has it. */
export async function serveUploadPages(): Promise<UploadPages> {
  const folder = await temporaryFolder();
  const vite = ['node_modules/vite/bin/vite.js', 'build', 'test/e2e/pages', '--outDir', folder, '--logLevel', 'warn'];
  await promisify(execFile)(process.execPath, vite, { cwd: ROOT });
  const examples = documentedExamples();
  const read = async (path: string): Promise<string | null> => {
    if (path === '/my/token') return 'ACCESS_TOKEN';
    const documented = examples.get(path.replace('/documented-', ''));
    if (path.endsWith('.html')) return documented ?? null;
    if (/^[/\w-]+\.js$/.test(path)) return existsSync(join(folder, path)) ? readFile(join(folder, path), 'utf8') : null;
    if (!existsSync(join(folder, `${path}.js`))) return null;
    return `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><title>${path}</title>
      <input type="file" multiple><div id="app"></div><script type="module" src="${path}.js"></script>`;
  };
  const pages = { url: '', values: {} as Record<string, string>, policy: '', close: () => server.close() };
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url ?? '', 'http://pages');
    const text = await read(pathname);
    if (text === null) return response.writeHead(404).end();
    const filled = Object.entries(pages.values).reduce((all, [name, value]) => all.replaceAll(name, value), text);
    const type = pathname.endsWith('.js') ? 'text/javascript' : pathname === '/my/token' ? 'text/plain' : 'text/html';
    if (pages.policy) response.setHeader('content-security-policy', pages.policy);
    response.setHeader('content-type', `${type}; charset=utf-8`).end(filled);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  pages.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return pages;
}
