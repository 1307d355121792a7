// tus' own server with its file store: what appending to a file costs.
import { createServer } from 'node:http';
import { FileStore } from '@tus/file-store';
import { Server } from '@tus/server';

const { PORT, DATA_DIR } = process.env;
const tus = new Server({ path: '/files', datastore: new FileStore({ directory: `${DATA_DIR}/tus` }) });

createServer((request, response) => {
  if (request.url === '/') response.end('ready');
  else void tus.handle(request, response);
}).listen(Number(PORT), '127.0.0.1');
