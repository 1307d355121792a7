import { statesBefore } from './video-state.js';

describe('statesBefore', () => {
  it('lets a video become READY once, from work that was under way', () => {
    expect(statesBefore('READY')).toEqual(['PROCESSING', 'PLAYABLE']);
  });

  it('never takes a run back', () => {
    expect(statesBefore('UPLOADING')).toEqual([]);
    expect(statesBefore('PROCESSING')).toEqual(['UPLOADING']);
  });

  it('refuses only what is not finished', () => {
    expect(statesBefore('FAILED')).toEqual(['UPLOADING', 'PROCESSING', 'PLAYABLE']);
  });
});
