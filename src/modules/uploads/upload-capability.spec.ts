import { randomUUID } from 'node:crypto';
import { capabilityOf, sessionOf } from './upload-capability.js';

const SECRET = 'a secret of this installation';

it('opens the session that it was made for', () => {
  const id = randomUUID();
  expect(sessionOf(capabilityOf(id, SECRET), SECRET)).toBe(id);
});

it('opens nothing when any of it is changed, or made with another secret', () => {
  const capability = capabilityOf(randomUUID(), SECRET);
  for (const at of [0, 21, 22, 23, capability.length - 2]) {
    const other = capability[at] === 'A' ? 'B' : 'A';
    expect(sessionOf(`${capability.slice(0, at)}${other}${capability.slice(at + 1)}`, SECRET)).toBeNull();
  }
  expect(sessionOf(capability, 'another secret')).toBeNull();
  for (const wrong of ['', 'x', `${capability}A`, capability.slice(1), `${randomUUID()}.${'A'.repeat(43)}`]) {
    expect(sessionOf(wrong, SECRET)).toBeNull();
  }
});
