import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import fastifyStatic from '@fastify/static';
import { Injectable, NotFoundException, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { FastifyInstance } from 'fastify';

type Page = 'index' | 'search' | 'channel' | 'watch' | 'upload' | 'account' | 'setup' | 'reset' | 'graphiql';
const ROUTES: Record<string, Page> = {
  '/': 'index',
  '/search': 'search',
  '/channel/:handle': 'channel',
  '/watch/:id': 'watch',
  '/upload': 'upload',
  '/account': 'account',
  '/setup': 'setup',
  '/reset': 'reset',
};

/** From src/common/http as from dist/common/http. */
const WEB = new URL('../../../dist/web/', import.meta.url);
const CLIENT = new URL('../../../client/dist/browser/', import.meta.url);

/** The pages and the client that `vite build` made. GraphiQL's is served by the GraphQL route itself, to browsers. */
@Injectable()
export class Pages implements OnModuleInit {
  constructor(private readonly adapterHost: HttpAdapterHost) {}

  onModuleInit(): void {
    const fastify: FastifyInstance | undefined = this.adapterHost.httpAdapter?.getInstance();
    if (!fastify) return;
    for (const [path, page] of Object.entries(ROUTES)) {
      fastify.get(path, async (_request, reply) =>
        reply.type('text/html; charset=utf-8').send(await this.read(`${page}.html`)),
      );
    }
    // Browsers look at it anew by themselves; from another folder it could not stand for the whole site.
    fastify.get('/push-worker.js', async (_request, reply) =>
      reply
        .type('text/javascript; charset=utf-8')
        .header('cache-control', 'no-cache')
        .send(await this.read('push-worker.js')),
    );
    // Their names carry a digest of their content.
    fastify.register(fastifyStatic, {
      root: fileURLToPath(new URL('assets/', WEB)),
      prefix: '/assets/',
      decorateReply: false,
      index: false,
      immutable: true,
      maxAge: '365d',
    });
    // Its name stays: a page asks each time whether it has changed.
    fastify.register(fastifyStatic, {
      root: fileURLToPath(CLIENT),
      prefix: '/client/',
      decorateReply: false,
      index: false,
      allowedPath: (path) => path.endsWith('.js'),
    });
  }

  /** @throws NotFoundException when the pages are not built */
  async read(file: `${Page}.html` | 'push-worker.js'): Promise<string> {
    try {
      return await readFile(new URL(file, WEB), 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      throw new NotFoundException('The pages are not built: npm run build.');
    }
  }
}
