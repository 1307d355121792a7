import { proofOf, readProbe, signProbe } from './doctor-signature.js';

test('what was signed with the same secret is read, and its answer can be proven', () => {
  const { header, proof } = signProbe('body', 'a secret');
  const probe = readProbe(header, 'a secret');
  expect(probe?.kind).toBe('body');
  expect(proofOf(probe?.nonce ?? '', 'a secret')).toBe(proof);
  expect(proofOf(probe?.nonce ?? '', 'another')).not.toBe(proof);
});

test('nothing else is', () => {
  const { header } = signProbe('body', 'a secret');
  expect(readProbe(header, 'another')).toBeNull();
  expect(readProbe(header.replace('body', 'seen'), 'a secret')).toBeNull();
  expect(readProbe(`${header}=`, 'a secret')).toBeNull();
  for (const odd of ['', 'seen', 'seen..', `seen.${'a'.repeat(36)}.${'ä'.repeat(43)}`])
    expect(readProbe(odd, 'a secret')).toBeNull();
});
