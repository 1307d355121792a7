import { randomBytes, randomUUID } from 'node:crypto';
import { equalSecrets, weakSecrets } from './secrets.js';

test('equal ones are named, all of them', () => {
  expect(equalSecrets({ A: 'x', B: 'y', C: 'x', D: 'z' })).toEqual(['A', 'C']);
  expect(equalSecrets({ A: 'x', B: 'y' })).toEqual([]);
});

test.each([
  'x'.repeat(64),
  'secretsecretsecretsecretsecret12',
  'change-me-change-me-change-me-change-me',
  `${'0'.repeat(31)}1`,
])('%s says little', (A) => expect(weakSecrets({ A })).toEqual(['A']));

test('random ones say enough', () => {
  for (let n = 0; n < 100; n++) {
    const secrets = {
      A: randomUUID(),
      B: randomBytes(24).toString('base64'),
      C: randomBytes(32).toString('hex'),
      D: 'Ashes turn, and 4 grey herons wade on past it',
    };
    expect(weakSecrets(secrets)).toEqual([]);
  }
});
