import { type CanActivate, type ExecutionContext, Injectable, type OnModuleInit } from '@nestjs/common';
import { MetadataScanner, ModulesContainer } from '@nestjs/core';
import { GqlExecutionContext } from '@nestjs/graphql';
import { Refusal } from '../errors/index.js';
import { ACCESS_RULE, type AccessRule } from './access.decorators.js';
import type { Actor } from './actor.js';

/** Under which @nestjs/graphql keeps whether a method is a query, mutation or subscription. */
const OPERATION = 'graphql:resolver_type';
const OPERATIONS = new Set(['Query', 'Mutation', 'Subscription']);

/** Who may call what, by default nobody: an operation without a rule does not even let the server start. */
@Injectable()
export class AccessGuard implements CanActivate, OnModuleInit {
  constructor(
    private readonly modules: ModulesContainer,
    private readonly scanner: MetadataScanner,
  ) {}

  onModuleInit(): void {
    const bare = [...this.operations()].filter(({ rule }) => !rule).map(({ name }) => name);
    if (bare.length > 0) {
      throw new Error(`No access rule (@Public, @Authenticated or @Role) on: ${bare.sort().join(', ')}.`);
    }
  }

  canActivate(context: ExecutionContext): boolean {
    // Only operations carry rules: what else is served over HTTP checks signed URLs of its own.
    if (context.getType<string>() !== 'graphql') return true;
    const rule = Reflect.getMetadata(ACCESS_RULE, context.getHandler()) as AccessRule | undefined;
    const { actor, badToken } = GqlExecutionContext.create(context).getContext<{
      actor: Actor | null;
      badToken: boolean;
    }>();
    if (!rule) throw new Refusal('FORBIDDEN', 'Nobody may do this.');
    if (badToken && !(rule.kind === 'public' && rule.ignoresBadToken)) {
      throw new Refusal('UNAUTHENTICATED', 'The access token is not valid, or no longer: get a new one.');
    }
    if (rule.kind === 'public') return true;
    if (!actor) throw new Refusal('UNAUTHENTICATED', 'Sign in first.');
    if (rule.kind === 'role' && actor.role !== rule.role && actor.role !== 'ADMIN') {
      throw new Refusal('FORBIDDEN', 'You may not do this.');
    }
    return true;
  }

  /** Every query, mutation and subscription, by the names of class and method, with its rule if it has one. */
  *operations(): Generator<{ name: string; rule: AccessRule | undefined }> {
    for (const module of this.modules.values()) {
      for (const { metatype } of module.providers.values()) {
        const prototype = (metatype as { prototype?: Record<string, object> } | null)?.prototype;
        if (!prototype) continue;
        for (const method of this.scanner.getAllMethodNames(prototype)) {
          const handler = prototype[method];
          if (!handler || !OPERATIONS.has(Reflect.getMetadata(OPERATION, handler))) continue;
          yield { name: `${metatype?.name}.${method}`, rule: Reflect.getMetadata(ACCESS_RULE, handler) };
        }
      }
    }
  }
}
