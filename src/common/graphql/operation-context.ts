import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Actor } from '../access/index.js';
import type { Loaders } from './loaders.js';

/** What resolvers get as GraphQL's context, the same over HTTP, WebSocket and server-sent events. */
export interface OperationContext {
  /** Null when nobody is signed in, also where a token was sent that is no good. */
  readonly actor: Actor | null;
  /** A bearer token was sent and it is no good. */
  readonly badToken: boolean;
  readonly loaders: Loaders;
  /** The client's address as far as trusted proxies tell. */
  readonly ip: string;
  readonly userAgent: string | null;
  /** The HTTP request; of a WebSocket only its headers and cookies are known, so it is absent there. */
  readonly req?: FastifyRequest;
  /** To set cookies. Absent where the answer's head is already sent: WebSocket and server-sent events. */
  readonly reply?: FastifyReply;
}
