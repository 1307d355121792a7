import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream, existsSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { temporaryFolder } from '../support/index.js';

const ROOT = join(import.meta.dirname, '../..');

export interface UploadPages {
  /** `/NAME` is the page of `pages/NAME.js`. */
  readonly url: string;
  close(): void;
}

/** Builds what is in `pages`, and serves it from an origin of its own, as a frontend team has it. */
export async function serveUploadPages(): Promise<UploadPages> {
  const folder = await temporaryFolder();
  const vite = ['node_modules/vite/bin/vite.js', 'build', 'test/e2e/pages', '--outDir', folder, '--logLevel', 'warn'];
  await promisify(execFile)(process.execPath, vite, { cwd: ROOT });
  const server = createServer((request, response) => {
    const name = (request.url ?? '').slice(1);
    if (/^[\w/-]+\.js$/.test(name) && existsSync(join(folder, name))) {
      response.setHeader('content-type', 'text/javascript');
      createReadStream(join(folder, name)).pipe(response);
    } else if (existsSync(join(folder, `${name}.js`))) {
      response.setHeader('content-type', 'text/html; charset=utf-8');
      response.end(`<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><title>${name}</title>
        <input type="file" multiple><div id="app"></div><script type="module" src="/${name}.js"></script>`);
    } else {
      response.writeHead(404).end();
    }
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close: () => server.close() };
}
