import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Actor } from '../access/index.js';
import type { Balance } from '../rate-limits/index.js';
import type { Loaders } from './loaders.js';

/** How the caller stands after an operation. */
export interface Spent extends Balance {
  readonly cost: number;
}

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
  /** It looks like one that signs in: nobody is signed in yet, and it has a budget of its own. */
  readonly isSigningIn?: boolean;
  /** What the operation cost, and what is left, from the moment when it may run. */
  spent?: Spent;
  /** The HTTP request; of a WebSocket only its headers and cookies are known, so it is absent there. */
  readonly req?: FastifyRequest;
  /** To set cookies. Absent where the answer's head is already sent: WebSocket and server-sent events. */
  readonly reply?: FastifyReply;
}
