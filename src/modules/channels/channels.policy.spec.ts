import type { Actor } from '../../common/access/index.js';
import { canManage, canOwn, canSeeMembers, canUpload } from './channels.policy.js';

const member: Actor = { userId: 'u', sessionId: 's', role: 'MEMBER' };
const root: Actor = { ...member, role: 'ADMIN' };

it.each([
  ['an owner', member, 'OWNER', true, true, true, true],
  ['an editor', member, 'EDITOR', true, false, true, true],
  ['a viewer', member, 'VIEWER', false, false, true, false],
  ['somebody else', member, null, false, false, false, false],
  ['an administrator', root, null, true, true, true, false],
  ['nobody', null, null, false, false, false, false],
] as const)('%s', (_, actor, role, manages, owns, sees, uploads) => {
  expect(canManage(actor, role)).toBe(manages);
  expect(canOwn(actor, role)).toBe(owns);
  expect(canSeeMembers(actor, role)).toBe(sees);
  expect(canUpload(role)).toBe(uploads);
});
