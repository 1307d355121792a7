import { type ReactNode, useEffect, useRef } from 'react';
import type { ApiError, PagedView } from '../../client/src/api/index.js';
import type { Paging } from '../../client/src/react/discovery.js';
import { type CardVideo, Skeletons, VideoCard } from './cards.js';
import { Retry } from './page.js';
import { counted } from './people.js';

/** So far before its end comes in sight, the next page is asked for. */
const AHEAD = '600px';

/** Videos, with all that a list of them can be: on its way, empty, gone wrong, longer than a page. */
export function VideoList<Video extends CardVideo>(props: {
  videos: readonly Video[];
  paged: PagedView & Paging;
  /** Names it. */
  label: string;
  layout: 'grid' | 'rows' | 'side';
  /** Further pages come by scrolling too. */
  isEndless?: boolean;
  withChannel?: boolean;
  /** What stands there when there is none. */
  empty?: ReactNode;
  /** What is special in a card. */
  card?: (video: Video) => { title?: ReactNode; children?: ReactNode };
}) {
  const { videos, paged, label, layout, isEndless = false, withChannel = true, empty, card } = props;
  const { state, hasMore, isLoadingMore, error, loadMore } = paged;
  const list = useRef<HTMLUListElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  /** Who pressed a button goes on with what came of it. */
  const goTo = useRef<{ place: number; known: ApiError | null } | null>(null);
  const count = videos.length;

  useEffect(() => {
    if (goTo.current === null) return;
    const { place, known } = goTo.current;
    const isFree = [document.body, button.current].includes(document.activeElement as HTMLElement | null);
    if (count > place && isFree) list.current?.querySelectorAll<HTMLElement>('h3 a')[place]?.focus();
    else if (count <= place && (isLoadingMore || state === 'loading') && (!error || error === known)) return;
    // What comes later, after another error or in a list that began anew, was not asked for by the button.
    goTo.current = null;
  }, [count, isLoadingMore, state, error]);
  useEffect(() => {
    // Anew after each page: one that is short leaves the end in sight. Not after an error, which a button goes on from.
    if (!isEndless || !hasMore || error || count === 0 || !button.current) return;
    const observer = new IntersectionObserver(([end]) => end?.isIntersecting && void loadMore(), { rootMargin: AHEAD });
    observer.observe(button.current);
    return () => observer.disconnect();
  }, [isEndless, hasMore, error, count, loadMore]);

  const press = () => {
    goTo.current = { place: count, known: null };
    void loadMore();
  };
  const leave = () => {
    goTo.current = null;
  };
  /** It goes with the error, and the focus with it. */
  const tryAgain = () => {
    goTo.current = { place: count, known: error };
    paged.retry();
  };
  const isFirst = state === 'loading' && count === 0;
  return (
    <>
      <span role="status" className="unseen">
        {state === 'loading' || isLoadingMore
          ? `${label}: loading`
          : count > 0 && `${label}: ${counted(count, 'video')} shown`}
      </span>
      {state === 'ready' && count === 0 && empty}
      {(isFirst || count > 0) && (
        <ul className={`tiles ${layout}`} aria-label={label} aria-busy={state === 'loading'} ref={list}>
          {videos.map((video) => (
            <VideoCard key={video.id} video={video} withChannel={withChannel} {...card?.(video)} />
          ))}
          {isFirst && <Skeletons count={layout === 'grid' ? 8 : 4} />}
        </ul>
      )}
      {error ? (
        <Retry problem={problemText(error)} onRetry={tryAgain} />
      ) : (
        hasMore && (
          <div className="more">
            <button
              type="button"
              className="quiet"
              ref={button}
              aria-busy={isLoadingMore}
              onClick={press}
              onBlur={leave}
            >
              Show more<span className="unseen"> of {label}</span>
            </button>
          </div>
        )
      )}
    </>
  );
}

export function problemText({ code, message }: ApiError): string {
  return code === 'OFFLINE' ? 'The server does not answer. Look at your network.' : message;
}
