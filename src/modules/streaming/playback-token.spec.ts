import { expiryFor, readToken, signToken } from './playback-token.js';

const SECRET = 'a secret of the installation, long enough';
const VIDEO = '0b8f6c1e-54a9-4a52-9f36-5c7f6f0f6f11';
const OTHER = '0b8f6c1e-54a9-4a52-9f36-5c7f6f0f6f12';
const GRANT = { epoch: 3, expiresAt: 1_795_000_000 };

describe('playback token', () => {
  const token = signToken(SECRET, VIDEO, GRANT);

  it('gives back what it grants', () => {
    expect(token).toMatch(/^1795000000\.3\.[\w-]{43}$/);
    expect(readToken(SECRET, VIDEO, token)).toEqual(GRANT);
  });

  it('is good for its own video and secret only', () => {
    expect(readToken(SECRET, OTHER, token)).toBeNull();
    expect(readToken(`${SECRET}!`, VIDEO, token)).toBeNull();
  });

  it.each([
    ['a later expiry', token.replace('1795000000', '1795000001')],
    ['another epoch', token.replace('.3.', '.4.')],
    ['digits moved between the numbers', token.replace('1795000000.3', '179500000.03')],
    ['a second spelling of the same expiry', `0${token}`],
    ['a changed signature', token.slice(0, -2) + (token.at(-2) === 'A' ? 'B' : 'A') + token.at(-1)],
    ['a cut signature', token.slice(0, -1)],
    ['nothing', ''],
    ['something else', '../../etc/passwd'],
  ])('refuses %s', (_, forged) => {
    expect(readToken(SECRET, VIDEO, forged)).toBeNull();
  });

  it('stays the same within an hour and lives for six to seven', () => {
    const hour = 498_612 * 3600;
    const life = 6 * 3600;
    expect(expiryFor(hour, life)).toBe(hour + 7 * 3600);
    expect(expiryFor(hour + 3599, life)).toBe(hour + 7 * 3600);
    expect(expiryFor(hour + 3600, life)).toBe(hour + 8 * 3600);
  });

  it('lives as long as it is told, however short that is', () => {
    for (const now of [1_795_000_000, 1_795_000_001.5, 1_795_000_007]) {
      expect(expiryFor(now, 12) - now).toBeGreaterThanOrEqual(12);
      expect(expiryFor(now, 12) - now).toBeLessThanOrEqual(14);
    }
  });
});
