import { defineJob } from '../../common/jobs/index.js';

/** Terms of the videos that were listed before there were any, in the order of their ids: those behind `after`. */
export const MakeVideoTerms = defineJob<{ after: string }>({ name: 'MakeVideoTerms', queue: 'default' });
