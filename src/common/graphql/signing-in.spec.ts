import { signsIn } from './signing-in.js';

it.each([
  ['mutation { login(input: $input) { session { accessToken } } }', true],
  ['\n  mutation Refresh($a: A = { b: 1 }) { refreshSession { session { accessToken } } }', false],
  ['mutation Refresh($input: RefreshSessionInput) {\n  again: refreshSession(input: $input) { __typename }\n}', true],
  ['mutation { loginAs }', false],
  ['mutation { createChannel { login } }', false],
  ['query { login }', false],
  [`mutation { login } ${' '.repeat(1_000)}`, false],
  [[], false],
  [undefined, false],
])('%j: %s', (text, is) => {
  expect(signsIn(text)).toBe(is);
});
