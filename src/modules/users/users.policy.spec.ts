import { canSeeAccount } from './users.policy.js';

it('shows an account to its person and to administrators', () => {
  const ada = { userId: 'ada', sessionId: 's', role: 'MEMBER' } as const;
  expect(canSeeAccount(ada, 'ada')).toBe(true);
  expect(canSeeAccount(ada, 'eve')).toBe(false);
  expect(canSeeAccount({ ...ada, role: 'ADMIN' }, 'eve')).toBe(true);
  expect(canSeeAccount(null, 'ada')).toBe(false);
});
