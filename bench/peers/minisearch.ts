// An index in memory of the same titles, with words one letter off: what a search engine of JavaScript alone does.
import { createReadStream } from 'node:fs';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import MiniSearch from 'minisearch';

const { PORT, DOCUMENTS } = process.env;
const FIRST = 20;
const index = new MiniSearch<{ id: number; title: string }>({ fields: ['title'], storeFields: ['title'] });
let id = 0;
for await (const title of createInterface({ input: createReadStream(String(DOCUMENTS)) }))
  index.add({ id: id++, title });

const found = (query: string, fuzzy: number) => index.search(query, { combineWith: 'AND', fuzzy }).slice(0, FIRST);

createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost');
  if (pathname !== '/search') return response.end('ready');
  const query = searchParams.get('q') ?? '';
  const exact = found(query, 0);
  const results = exact.length > 0 ? exact : found(query, 1);
  response.end(JSON.stringify(results.map(({ title }) => title)));
}).listen(Number(PORT), '127.0.0.1');
