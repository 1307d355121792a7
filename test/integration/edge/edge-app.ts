import { type DynamicModule, Injectable, Module, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { Actor } from '../../../src/common/access/index.js';
import { AccessModule, ActorResolver } from '../../../src/common/access/index.js';
import { type Config, configModule } from '../../../src/common/config/index.js';
import { GraphqlModule } from '../../../src/common/graphql/index.js';
import { HttpModule, httpAdapter } from '../../../src/common/http/index.js';
import { LiveModule } from '../../../src/common/live/index.js';
import { StructuredLogger } from '../../../src/common/logging/index.js';
import { RateLimitsModule } from '../../../src/common/rate-limits/index.js';
import { freePort } from '../../support/index.js';

/** Login sessions of these tests: `Bearer <sessionId>`, until the session is taken out. */
@Injectable()
export class Sessions extends ActorResolver {
  readonly live = new Map<string, Actor>();
  /** How often a caller was looked up. */
  resolved = 0;

  signIn(userId: string, role: Actor['role'] = 'MEMBER'): string {
    const sessionId = `session-${this.live.size}-${userId}`;
    this.live.set(sessionId, { userId, sessionId, role });
    return sessionId;
  }

  override async resolve(accessToken: string): Promise<Actor | null> {
    this.resolved++;
    return this.live.get(accessToken) ?? null;
  }

  override async liveAmong(sessionIds: readonly string[]): Promise<string[]> {
    return sessionIds.filter((id) => this.live.has(id));
  }
}

@Module({})
class TestModule {
  static of(providers: Type[], controllers: Type[]): DynamicModule {
    const sessions = { provide: ActorResolver, useExisting: Sessions };
    return { module: TestModule, controllers, providers: [Sessions, sessions, ...providers] };
  }
}

/** Whatever JSON there is. */
export type Json = ReturnType<typeof JSON.parse>;

export interface EdgeApp {
  readonly app: NestFastifyApplication;
  readonly url: string;
  readonly sessions: Sessions;
  /** What was logged, a line each. */
  readonly log: string[];
  graphql(query: string, options?: { token?: string; variables?: object }): Promise<GraphqlAnswer>;
}
export interface GraphqlAnswer {
  status: number;
  data?: Json;
  errors?: { message: string; path?: unknown; extensions: Record<string, Json> }[];
}

/** The edge alone, with the resolvers of one test: no database, a Redis only where `redisUrl` names one. */
export async function startEdge(
  resolvers: Type[],
  overrides: Partial<Config> = {},
  controllers: Type[] = [],
): Promise<EdgeApp> {
  const log: string[] = [];
  const config = {
    publicUrl: 'http://localhost:3000',
    redisUrl: `redis://127.0.0.1:${await freePort()}`,
    redisPrefix: 'edge:',
    corsOrigins: ['https://app.example'],
    trustProxy: false,
    rateLimitFactor: 1,
    s3: null,
    graphqlIntrospection: true,
    logLevel: 'trace',
    tokenSecret: 'planted-token-secret-0123456789abcdef',
    storageSecret: 'planted-storage-secret-0123456789abc',
    playbackSecret: 'planted-playback-secret-0123456789ab',
    ...overrides,
  } as Config;
  const imports = [
    configModule(config),
    LiveModule,
    AccessModule,
    RateLimitsModule,
    HttpModule,
    GraphqlModule,
    TestModule.of(resolvers, controllers),
  ];
  const logger = new StructuredLogger(config, { write: (line: string) => void log.push(line) });
  const app = await NestFactory.create<NestFastifyApplication>(
    { module: class Root {}, imports },
    httpAdapter(config),
    {
      logger,
      abortOnError: false,
    },
  );
  await app.listen(0, '127.0.0.1');
  const url = `http://127.0.0.1:${(app.getHttpServer().address() as { port: number }).port}`;
  return {
    app,
    url,
    log,
    sessions: app.get(Sessions),
    async graphql(query, { token, variables } = {}) {
      const response = await fetch(`${url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) },
        body: JSON.stringify({ query, variables }),
      });
      return { status: response.status, ...((await response.json()) as object) };
    },
  };
}
