import { useEffect, useState } from 'react';
import { Api } from '../../client/src/api/index.js';
import { accessToken, onSession, session } from './session.js';

/** Who looks at the page. */
export interface Me {
  /** Null for who is not signed in. */
  readonly viewer: { readonly id: string; readonly displayName: string } | null;
  /** Asks as them. */
  readonly api: Api;
}

const AGAIN_MS = 5_000;

/** One for all parts of the page, and so one socket. */
let me: Me | null = null;

/** Null until it is known. */
export function useMe(): Me | null {
  const [known, setKnown] = useState(me);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let isOver = false;
    const look = async () => {
      try {
        const viewer = (await session())?.viewer ?? null;
        if (me === null || me.viewer?.id !== viewer?.id) {
          me = { viewer, api: viewer ? new Api({ token: accessToken }) : new Api() };
        }
        if (!isOver) setKnown(me);
      } catch {
        // The server is away: that says nothing of who is signed in.
        if (!isOver) timer = setTimeout(() => void look(), AGAIN_MS);
      }
    };
    void look();
    const leave = onSession(() => void look());
    return () => {
      isOver = true;
      clearTimeout(timer);
      leave();
    };
  }, []);
  return known;
}

const UNITS = [
  ['year', 31_536_000],
  ['month', 2_592_000],
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
] as const;
const ago = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });

/** `2 hours ago` */
export function agoText(time: string): string {
  const seconds = (Date.now() - Date.parse(time)) / 1000;
  const [unit, length] = UNITS.find(([, length]) => seconds >= length) ?? ['second', 1];
  return unit === 'second' ? 'just now' : ago.format(-Math.floor(seconds / length), unit);
}

/** `4:03`, `1:02:03` */
export function clockText(ms: number): string {
  const seconds = Math.round(ms / 1000);
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  const end = `${String(seconds % 60).padStart(2, '0')}`;
  return hours > 0 ? `${hours}:${String(minutes).padStart(2, '0')}:${end}` : `${minutes}:${end}`;
}

const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });
/** `1.2K` */
export const countText = (count: number): string => short.format(count);

/** `1 comment`, `2 comments` */
export const counted = (count: number, one: string, many = `${one}s`): string =>
  `${countText(count)} ${count === 1 ? one : many}`;

/** `2 views · 3 hours ago` */
export const viewsText = ({ viewCount, publishedAt }: { viewCount: number; publishedAt?: string | null }): string =>
  [counted(viewCount, 'view'), ...(publishedAt ? [agoText(publishedAt)] : [])].join(' · ');
