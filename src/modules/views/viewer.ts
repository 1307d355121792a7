import { createHmac } from 'node:crypto';

/** Who watches, as far as it can be told. */
export type Watcher = { readonly userId: string } | { readonly block: string; readonly userAgent: string };

/** What is kept of a watcher for an hour. Nobody is known by it, not even to be the same under another video. */
export interface Viewer {
  /** 8 bytes: of a million viewers two are taken for one with a chance of 3 in 100 million. */
  readonly id: Buffer;
  /** Of the block of addresses; empty for who is signed in. */
  readonly block: Buffer;
  /** The block, or who is signed in, whatever they watch. Nothing but how many videos they began with is kept of it. */
  readonly watcher: Buffer;
}

const NONE = Buffer.alloc(0);

/** For `viewerOf`, of a secret that signs other things as well. */
export const viewersKey = (secret: string): Buffer => createHmac('sha256', secret).update('views').digest();

export function viewerOf(key: Buffer, videoId: string, watcher: Watcher): Viewer {
  if ('userId' in watcher) {
    const user = `user ${watcher.userId}`;
    return { id: digest(key, `${videoId} ${user}`, 8), block: NONE, watcher: digest(key, user, 6) };
  }
  const { block, userAgent } = watcher;
  return {
    id: digest(key, `${videoId} from ${block} by ${userAgent}`, 8),
    block: digest(key, `${videoId} block ${block}`, 6),
    watcher: digest(key, `block ${block}`, 6),
  };
}

const digest = (key: Buffer, text: string, bytes: number) =>
  createHmac('sha256', key).update(text).digest().subarray(0, bytes);
