import { defineJob } from '../../common/jobs/index.js';

/** Puts the original together from the chunks and verifies it. `epoch` is the completion's that asked for it. */
export const AssembleMaster = defineJob<{ sessionId: string; epoch: number }>({
  name: 'AssembleMaster',
  queue: 'assemble',
});

/** Gives up all chunks of a session that has ended. */
export const FreeChunks = defineJob<{ sessionId: string }>({ name: 'FreeChunks', queue: 'default' });

/** Makes larger objects of a session's many small ones, while it is open. */
export const MergeChunks = defineJob<{ sessionId: string }>({ name: 'MergeChunks', queue: 'default', priority: 200 });

/**
 * Takes processing as far as the bytes allow that have arrived of an open session. Asked for when all is there that it
 * waited for; done by `transcoding`, which knows what it needs next.
 */
export const LookAhead = defineJob<{ sessionId: string }>({ name: 'LookAhead', queue: 'probe' });
