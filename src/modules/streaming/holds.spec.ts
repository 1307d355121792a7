import { Holds } from './holds.js';

describe('Holds', () => {
  it('has room for so many of one client and of all, and again when one has left', () => {
    const holds = new Holds(2, 3);
    const first = holds.enter('a');
    expect(first).not.toBeNull();
    expect(holds.enter('a')).not.toBeNull();
    expect(holds.enter('a')).toBeNull();
    expect(holds.enter('b')).not.toBeNull();
    expect(holds.enter('c')).toBeNull();
    first?.();
    expect(holds.enter('c')).not.toBeNull();
    expect(holds.enter('a')).toBeNull();
  });
});
