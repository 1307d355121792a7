import { type FocusEvent, type PointerEvent, type ReactNode, useState } from 'react';
import { clockText, viewsText } from './people.js';
import { mayPreview, Preview } from './preview.js';

export interface CardVideo {
  readonly id: string;
  readonly title: string;
  readonly posterUrl?: string | null;
  readonly storyboardUrl?: string | null;
  readonly durationMs?: number | null;
  readonly publishedAt?: string | null;
  readonly viewCount: number;
  readonly channel: { readonly handle: string; readonly name: string };
}

export const watchPath = (videoId: string) => `/watch/${encodeURIComponent(videoId)}`;
export const channelPath = (handle: string) => `/channel/${encodeURIComponent(handle)}`;

/** One video in a list. Its title is the link, and the card around it too. */
export function VideoCard(props: {
  video: CardVideo;
  /** With what was searched for marked in it. */
  title?: ReactNode;
  /** Below all else. */
  children?: ReactNode;
  /** On the page of the channel it goes without saying. */
  withChannel: boolean;
}) {
  const { video, title, children, withChannel } = props;
  const [isLit, setLit] = useState(false);
  const enter = ({ pointerType }: PointerEvent) => setLit(pointerType === 'mouse' && mayPreview());
  const focus = ({ target }: FocusEvent) => setLit(target.matches(':focus-visible') && mayPreview());
  const leave = () => setLit(false);
  return (
    <li className="tile" onPointerEnter={enter} onPointerLeave={leave} onFocus={focus} onBlur={leave}>
      <div className="still">
        <Poster url={video.posterUrl ?? null} />
        {isLit && video.storyboardUrl && <Preview address={video.storyboardUrl} />}
        {typeof video.durationMs === 'number' && (
          <span className="length">
            <span className="unseen">Length </span>
            {clockText(video.durationMs)}
          </span>
        )}
      </div>
      <div className="about">
        <h3 dir="auto">
          <a href={watchPath(video.id)}>{title ?? video.title}</a>
        </h3>
        {withChannel && (
          <p>
            <a className="by" href={channelPath(video.channel.handle)}>
              <bdi>{video.channel.name}</bdi>
            </a>
          </p>
        )}
        <p>{viewsText(video)}</p>
        {children}
      </div>
    </li>
  );
}

/** Its address may have ended: then the ground stays. */
function Poster({ url }: { url: string | null }) {
  const [failed, setFailed] = useState<string | null>(null);
  if (url === null || failed === url) return null;
  return (
    <img src={url} alt="" width={320} height={180} loading="lazy" decoding="async" onError={() => setFailed(url)} />
  );
}

/** As large as cards will be. */
export function Skeletons({ count }: { count: number }) {
  return Array.from({ length: count }, (_, index) => (
    // biome-ignore lint/suspicious/noArrayIndexKey: one is like the other
    <li key={index} className="tile skeleton" aria-hidden="true">
      <div className="still" />
      <div className="about">
        <h3>&nbsp;</h3>
        <p>&nbsp;</p>
        <p>&nbsp;</p>
      </div>
    </li>
  ));
}
