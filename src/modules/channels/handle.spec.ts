import { InvalidInput } from '../../common/errors/index.js';
import { checkHandle, handleKey, handleLook, isHandle } from './handle.js';

it.each([
  'ada',
  'Ada',
  'a1b',
  'ada.lovelace',
  'ada_love-lace.1',
  '123',
  'x'.repeat(30),
  'admins',
])('takes %j', (handle) => {
  expect(() => checkHandle(handle)).not.toThrow();
  expect(isHandle(handle)).toBe(true);
});

it.each([
  '',
  'ab',
  'x'.repeat(31),
  'x'.repeat(10_000),
  '.ada',
  'ada.',
  'a..b',
  '../etc',
  'a/b',
  'a b',
  'ädä',
  'аdа',
  '@ada',
  'ada\n',
  'a\u0000b',
  'ada\u202e',
])('refuses %j', (handle) => {
  expect(isHandle(handle)).toBe(false);
  expect(() => checkHandle(handle)).toThrow(InvalidInput);
  expect(() => checkHandle(handle)).toThrow(expect.objectContaining({ code: 'INVALID_INPUT', field: ['handle'] }));
});

it.each([
  'admin',
  'ADMIN',
  'ad-min',
  'a.p.i',
  'graphql',
  'Sluice',
  'adm1n',
  'SIuice',
  'adrnin',
  'vvatch',
])('keeps %j for the house', (handle) => {
  expect(() => checkHandle(handle)).toThrow(expect.objectContaining({ code: 'HANDLE_RESERVED' }));
});

it('does not tell handles apart by case', () => {
  expect(handleKey('Ada.Lovelace')).toBe(handleKey('aDA.lOVELACE'));
});

it.each([
  ['PayPaI', 'paypal'],
  ['g00gle', 'google'],
  ['rnark', 'mark'],
  ['vvill', 'will'],
  ['ada_films', 'ada-films'],
  ['ada.fi1ms', 'ada-films'],
])('takes %s for %s', (one, other) => {
  expect(handleLook(one)).toBe(handleLook(other));
});

it.each([
  ['ada', 'eda'],
  ['ada-films', 'adafilms'],
  ['film2', 'film3'],
])('tells %s from %s', (one, other) => {
  expect(handleLook(one)).not.toBe(handleLook(other));
});
