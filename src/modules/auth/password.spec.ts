import { InvalidInput } from '../../common/errors/index.js';
import { cleanPassword, typedPassword } from './password.js';

it.each(['1234567890', ' correct horse ', 'пароль-длинный', '🔑'.repeat(10), 'x'.repeat(200)])('takes %j', (value) => {
  expect(cleanPassword(value)).toBe(typedPassword(value));
});

it('is the same however it was typed', () => {
  expect(cleanPassword('e\u0301e\u0301e\u0301e\u0301 secret')).toBe(cleanPassword('éééé secret'));
});

it.each([
  '',
  '123456789',
  '🔑'.repeat(9),
  'x'.repeat(201),
  'x'.repeat(10_000),
  '1234567890\u0000',
  '1234567890\ud800',
])('refuses %j', (value) => {
  expect(() => cleanPassword(value)).toThrow(InvalidInput);
  expect(() => cleanPassword(value)).toThrow(expect.objectContaining({ field: ['password'] }));
});
