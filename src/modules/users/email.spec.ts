import { InvalidInput } from '../../common/errors/index.js';
import { cleanEmail, emailKey } from './email.js';

describe('cleanEmail', () => {
  it.each([
    [' Ada@Example.org ', 'Ada@Example.org'],
    ['admin@localhost', 'admin@localhost'],
    ["o'brien+sluice@mail.example.co.uk", "o'brien+sluice@mail.example.co.uk"],
    ['用户@例子.中国', '用户@例子.中国'],
    ['ａda@example.org', 'ada@example.org'],
    [`${'x'.repeat(64)}@example.org`, `${'x'.repeat(64)}@example.org`],
  ])('keeps %j', (value, email) => expect(cleanEmail(value)).toBe(email));

  it.each([
    '',
    'ada',
    '@example.org',
    'ada@',
    'ada@-example.org',
    'ada@example..org',
    'ada lovelace@example.org',
    'a@b@example.org',
    'ada@example.org\u0000',
    'ada\u202e@example.org',
    'ada@example.org\r\nBcc: eve@example.org',
    '<ada@example.org>',
    '\ud800@example.org',
    `${'x'.repeat(65)}@example.org`,
    `a@${'b.'.repeat(150)}org`,
    'x'.repeat(10_000),
  ])('refuses %j', (value) => {
    expect(() => cleanEmail(value)).toThrow(InvalidInput);
    expect(() => cleanEmail(value)).toThrow(expect.objectContaining({ field: ['email'] }));
  });

  it('takes no long time over a hostile address', () => {
    const started = performance.now();
    for (const value of [`${'a.'.repeat(120)}@`, `a@${'a-'.repeat(120)}`]) {
      expect(() => cleanEmail(value)).toThrow(InvalidInput);
    }
    expect(performance.now() - started).toBeLessThan(100);
  });
});

describe('emailKey', () => {
  it('is the same for every spelling of one address', () => {
    for (const spelling of ['ada@example.org', ' ADA@Example.ORG', 'ａｄａ@example.org']) {
      expect(emailKey(spelling)).toBe('ada@example.org');
    }
  });
});
