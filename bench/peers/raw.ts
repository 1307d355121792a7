// The same answers from node:http and pg alone: what Node and PostgreSQL themselves cost.
import { createServer, type IncomingMessage } from 'node:http';
import { channel, commitChunks, idOf, posterUrl, roles, videos, watchable } from './data.js';

async function page({ id }: { id: string }) {
  const found = await channel(id);
  const role = (await roles([found.uuid])).get(found.uuid);
  const edits = role === 'OWNER' || role === 'EDITOR';
  const { rows, hasNextPage, endCursor } = await videos(found.uuid, 20);
  const media = await watchable(rows.map((row) => row.id));
  const nodes = rows.map((row) => ({
    id: idOf('Video', row.id),
    title: row.title,
    visibility: row.visibility,
    state: row.state,
    durationMs: row.durationMs,
    createdAt: row.createdAt.toISOString(),
    posterUrl: posterUrl(row, media.get(row.id)),
    viewerCanEdit: edits,
  }));
  const { handle, name } = found;
  return {
    channel: { id, handle, name, viewerCanManage: edits, videos: { nodes, pageInfo: { hasNextPage, endCursor } } },
  };
}

async function answer(request: IncomingMessage): Promise<unknown> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part);
  const { query, variables } = JSON.parse(Buffer.concat(parts).toString());
  if (query.includes('__typename')) return { __typename: 'Query' };
  if (query.includes('commitChunks')) {
    return { commitChunks: await commitChunks(variables.input.sessionId, variables.input.stored) };
  }
  return page(variables);
}

createServer(async (request, response) => {
  if (request.method === 'GET') return void response.end('ready');
  try {
    const text = JSON.stringify({ data: await answer(request) });
    response
      .writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) })
      .end(text);
  } catch (error) {
    console.error(error);
    response.writeHead(500).end();
  }
}).listen(Number(process.env.PORT), '127.0.0.1');
