import type { Actor } from '../../common/access/index.js';
import { canDelete, canRewrite } from './comments.policy.js';

const ada: Actor = { userId: 'ada', sessionId: 's', role: 'MEMBER' };
const root: Actor = { userId: 'root', sessionId: 's', role: 'ADMIN' };

it.each([
  ['the author', ada, null, true, true],
  ['somebody else', { ...ada, userId: 'eve' }, null, false, false],
  ['an owner of the channel', { ...ada, userId: 'eve' }, 'OWNER', false, true],
  ['an editor', { ...ada, userId: 'eve' }, 'EDITOR', false, true],
  ['a viewer', { ...ada, userId: 'eve' }, 'VIEWER', false, false],
  ['an administrator', root, null, false, true],
  ['nobody', null, null, false, false],
] as const)('%s', (_, actor, role, rewrites, deletes) => {
  expect([canRewrite(actor, 'ada'), canDelete(actor, 'ada', role)]).toEqual([rewrites, deletes]);
});
