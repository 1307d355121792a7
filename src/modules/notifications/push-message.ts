import { encodeId } from '../../common/graphql/index.js';
import type { NotificationKind } from './notification-kinds.js';

/** What push services take before it is encrypted. */
export const MOST_BYTES = 3_993;
const LINE = 100;
const TEXT = 200;

/** What is told of. */
export interface PushSubject {
  readonly cause: string;
  readonly kind: NotificationKind;
  readonly channelId: string | null;
  readonly videoId: string | null;
  readonly commentId: string | null;
  readonly actorId: string | null;
}

/** What a browser's service worker is given, as JSON. A name or text is left out where it is not the recipient's to see. */
export interface PushMessage {
  /** The same however often it comes: for `showNotification`, which replaces what has it. */
  readonly tag: string;
  /** Of the Notification in the inbox. */
  readonly id: string;
  readonly kind: NotificationKind;
  /** Where a click leads. */
  readonly url: string;
  readonly title?: string;
  readonly channel?: string;
  readonly actor?: string;
  readonly text?: string;
}

export interface Shown {
  readonly title?: string;
  readonly channel?: string;
  readonly actor?: string;
  readonly text?: string;
}

/** @param shown null: nothing of it may be seen */
export function messageOf({ cause, kind, videoId }: PushSubject, publicUrl: string, shown: Shown | null): string {
  const page = shown && videoId ? `watch/${encodeURIComponent(encodeId('Video', videoId))}` : '';
  const message: PushMessage = {
    tag: cause,
    id: encodeId('Notification', cause),
    kind,
    url: `${publicUrl}/${page}`,
    title: cut(shown?.title, LINE),
    channel: cut(shown?.channel, LINE),
    actor: cut(shown?.actor, LINE),
    text: cut(shown?.text, TEXT),
  };
  return JSON.stringify(message);
}

/** For the header of this name: a push service keeps the latest of a topic for who is away. 32 characters at most. */
export const topicOf = (cause: string): string => cause.replaceAll('-', '');

function cut(text: string | undefined, most: number): string | undefined {
  const characters = text === undefined ? [] : [...text];
  return characters.length <= most ? text : `${characters.slice(0, most - 1).join('')}…`;
}
