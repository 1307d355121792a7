import { canManageUpload } from './uploads.policy.js';

it('is for who began it, editors and administrators', () => {
  const session = { ownerId: 'a' };
  const member = (userId: string) => ({ userId, sessionId: 's', role: 'MEMBER' as const });
  expect(canManageUpload(session, member('a'), null)).toBe(true);
  expect(canManageUpload(session, member('b'), 'EDITOR')).toBe(true);
  expect(canManageUpload(session, member('b'), 'OWNER')).toBe(true);
  expect(canManageUpload(session, { ...member('b'), role: 'ADMIN' }, null)).toBe(true);
  expect(canManageUpload(session, member('b'), 'VIEWER')).toBe(false);
  expect(canManageUpload(session, member('b'), null)).toBe(false);
  expect(canManageUpload(session, null, null)).toBe(false);
});
