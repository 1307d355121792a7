import { defineJob } from '../../common/jobs/index.js';

/** One video, later: when its publish time has come. */
export const IndexVideo = defineJob<{ videoId: string }>({ name: 'IndexVideo', queue: 'events' });
/** All videos of a channel from an id on: its name is part of what finds them. */
export const IndexChannelVideos = defineJob<{ channelId: string; after: string | null }>({
  name: 'IndexChannelVideos',
  queue: 'default',
});
/** All there is from an id on: asked for by the migration that made the index. */
export const IndexBehind = defineJob<{ of: 'videos' | 'channels'; after: string | null }>({
  name: 'IndexBehind',
  queue: 'default',
});
