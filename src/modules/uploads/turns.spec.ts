import { Turns } from './turns.js';

it('does the work of a key one after the other, also after a failure, and that of others beside it', async () => {
  const turns = new Turns();
  const log: string[] = [];
  let first = (_failed: Error) => {};
  const failing = turns.take('a', () => new Promise((_, reject) => (first = reject)));
  const after = turns.take('a', async () => log.push('a'));
  await turns.take('b', async () => log.push('b'));
  expect(log).toEqual(['b']);
  first(new Error('no'));
  await expect(failing).rejects.toThrow('no');
  await after;
  expect(log).toEqual(['b', 'a']);
  expect(turns).toEqual(new Turns());
});
