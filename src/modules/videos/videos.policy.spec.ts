import type { Actor } from '../../common/access/index.js';
import { canEdit, canWatch, type VideoAccess } from './videos.policy.js';

const now = new Date('2026-01-01T00:00:00Z');
const earlier = new Date('2025-12-31T23:59:59Z');
const later = new Date('2026-01-01T00:00:01Z');
const member: Actor = { userId: 'u', sessionId: 's', role: 'MEMBER' };
const admin: Actor = { ...member, role: 'ADMIN' };
const published: VideoAccess = { visibility: 'PUBLIC', state: 'READY', verifiedAt: earlier, publishAt: null };

describe('canWatch', () => {
  it.each<[string, Partial<VideoAccess>, boolean]>([
    ['public and ready', {}, true],
    ['unlisted', { visibility: 'UNLISTED' }, true],
    ['still encoding', { state: 'PLAYABLE' }, true],
    ['its time has come', { publishAt: now }, true],
    ['private', { visibility: 'PRIVATE' }, false],
    ['not verified', { verifiedAt: null }, false],
    ['nothing plays', { state: 'PROCESSING' }, false],
    ['failed', { state: 'FAILED' }, false],
    ['blocked', { state: 'BLOCKED' }, false],
    ['too early', { publishAt: later }, false],
  ])('a stranger: %s', (_, change, expected) => {
    expect(canWatch({ ...published, ...change }, null, null, now)).toBe(expected);
    expect(canWatch({ ...published, ...change }, member, null, now)).toBe(expected);
  });

  it('editors and administrators see everything', () => {
    const hidden: VideoAccess = { visibility: 'PRIVATE', state: 'BLOCKED', verifiedAt: null, publishAt: later };
    expect(canWatch(hidden, member, 'OWNER', now)).toBe(true);
    expect(canWatch(hidden, member, 'EDITOR', now)).toBe(true);
    expect(canWatch(hidden, admin, null, now)).toBe(true);
  });

  it('members who only view see what is private, not what is unverified or blocked', () => {
    expect(canWatch({ ...published, visibility: 'PRIVATE' }, member, 'VIEWER', now)).toBe(true);
    expect(canWatch({ ...published, verifiedAt: null }, member, 'VIEWER', now)).toBe(false);
    expect(canWatch({ ...published, state: 'BLOCKED' }, member, 'VIEWER', now)).toBe(false);
  });
});

it('canEdit', () => {
  expect([canEdit(member, 'OWNER'), canEdit(member, 'EDITOR'), canEdit(admin, null)]).toEqual([true, true, true]);
  expect([canEdit(member, 'VIEWER'), canEdit(member, null), canEdit(null, null)]).toEqual([false, false, false]);
});
