import { applyDecorators, SetMetadata } from '@nestjs/common';
import { Context } from '@nestjs/graphql';
import type { UserRole } from './actor.js';

export const ACCESS_RULE = Symbol('access rule');

/** Who may call an operation at all. What they may do to a given thing is for the domain's policy. */
export type AccessRule =
  | { readonly kind: 'public'; readonly ignoresBadToken: boolean }
  | { readonly kind: 'authenticated' }
  | { readonly kind: 'role'; readonly role: UserRole };

const rule = (value: AccessRule) => applyDecorators(SetMetadata(ACCESS_RULE, value));

/**
 * Anybody, signed in or not. A bearer token that is no good is refused all the same, so that nobody is taken for a
 * stranger without noticing; `ignoresBadToken` is for the operations by which one gets a new one.
 */
export const Public = (options: { ignoresBadToken?: boolean } = {}) =>
  rule({ kind: 'public', ignoresBadToken: options.ignoresBadToken ?? false });

/** Anybody who is signed in. */
export const Authenticated = () => rule({ kind: 'authenticated' });

/** Only people with this role. ADMIN may do what MEMBER may. */
export const Role = (role: UserRole) => rule({ kind: 'role', role });

/** The parameter is `Actor` under `@Authenticated` and `@Role`, `Actor | null` under `@Public` and in field resolvers. */
export const CurrentActor = (): ParameterDecorator => Context('actor');
