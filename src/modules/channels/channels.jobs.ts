import { defineJob } from '../../common/jobs/index.js';

/** Makes what a channel shows of the file that was sent. */
export const MakeChannelImage = defineJob<{ imageId: string }>({ name: 'MakeChannelImage', queue: 'default' });
