import { type MouseEvent, useEffect, useId, useRef, useState } from 'react';
import type { Api, NotificationView } from '../../client/src/api/index.js';
import { useNotifications } from '../../client/src/react/people.js';
import { More, messageOf, Problem } from './page.js';
import { agoText, useMe } from './people.js';
import { type PushState, pushState, turnOnPush } from './push.js';

/** The server counts no further than 1,000; a badge need not either. */
const MOST_SHOWN = 99;

/** Nothing for who is not signed in. */
export function Bell() {
  const me = useMe();
  return me?.viewer ? <Inbox key={me.viewer.id} api={me.api} viewerId={me.viewer.id} /> : null;
}

function Inbox({ api, viewerId }: { api: Api; viewerId: string }) {
  const [news, setNews] = useState('');
  const inbox = useNotifications(api, { onNews: (one) => setNews(sentence(one)) });
  const { notifications, unreadCount, hasMore, state, error } = inbox;
  const [isOpen, setOpen] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const all = useRef<HTMLDivElement>(null);
  const bell = useRef<HTMLButtonElement>(null);
  const panel = useId();

  useEffect(() => {
    if (!isOpen) return;
    const outside = ({ target }: Event) => {
      if (target instanceof Node && !all.current?.contains(target)) setOpen(false);
    };
    const close = ({ key }: KeyboardEvent) => {
      if (key !== 'Escape') return;
      setOpen(false);
      bell.current?.focus();
    };
    document.addEventListener('pointerdown', outside);
    document.addEventListener('focusin', outside);
    document.addEventListener('keydown', close);
    return () => {
      document.removeEventListener('pointerdown', outside);
      document.removeEventListener('focusin', outside);
      document.removeEventListener('keydown', close);
    };
  }, [isOpen]);

  /** The button goes: the keyboard stays at what it was for. */
  const press = ({ currentTarget }: MouseEvent<HTMLElement>, ids: readonly string[] | null) => {
    currentTarget.closest<HTMLElement>('[tabindex]')?.focus();
    void read(ids);
  };
  const read = async (ids: readonly string[] | null) => {
    setProblem(null);
    try {
      await inbox.markRead(ids);
    } catch (failure) {
      setProblem(messageOf(failure));
    }
  };
  /** It counts as read before the page is left, which would cut the request off. */
  const visit = (event: MouseEvent<HTMLAnchorElement>, id: string) => {
    if (event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey) return void read([id]);
    event.preventDefault();
    const { href } = event.currentTarget;
    void read([id]).then(() => window.location.assign(href));
  };

  const shown = unreadCount > MOST_SHOWN ? `${MOST_SHOWN}+` : String(unreadCount);
  return (
    <div className="inbox" ref={all}>
      <button
        type="button"
        className="bell"
        ref={bell}
        aria-label={`Notifications, ${shown} unread`}
        aria-expanded={isOpen}
        aria-controls={panel}
        onClick={() => setOpen(!isOpen)}
      >
        <svg viewBox="0 0 24 24" width="24" height="24" aria-hidden="true">
          <path d="M12 3a6 6 0 0 0-6 6v4l-2 3v1h16v-1l-2-3V9a6 6 0 0 0-6-6Zm-2.5 16a2.5 2.5 0 0 0 5 0" />
        </svg>
        {unreadCount > 0 && (
          <span className="count" aria-hidden="true">
            {shown}
          </span>
        )}
      </button>
      <span role="status" className="unseen">
        {news}
      </span>
      <section id={panel} className="panel card" aria-label="Notifications" tabIndex={-1} hidden={!isOpen}>
        <div className="line">
          <h2>Notifications</h2>
          {unreadCount > 0 && (
            <button type="button" className="small" onClick={(event) => press(event, null)}>
              Mark all as read
            </button>
          )}
        </div>
        {isOpen && <PushSwitch viewerId={viewerId} />}
        {state === 'waiting' && <p role="status">The connection is cut. What is new comes when it is back.</p>}
        <Problem text={problem ?? (error && state !== 'waiting' ? error.message : null)} />
        {state !== 'loading' && notifications.length === 0 && <p className="soft">Nothing yet.</p>}
        <ul>
          {notifications.map((one) => (
            <li key={one.id} className={one.isRead ? undefined : 'unread'} tabIndex={-1}>
              {one.video ? (
                <a href={`/watch/${encodeURIComponent(one.video.id)}`} onClick={(event) => visit(event, one.id)}>
                  <Sentence of={one} />
                </a>
              ) : (
                <span>
                  <Sentence of={one} />
                </span>
              )}
              <span className="soft">
                {!one.isRead && <span className="unseen">Unread. </span>}
                <time dateTime={one.createdAt}>{agoText(one.createdAt)}</time>
              </span>
              {!one.isRead && (
                <button
                  type="button"
                  className="small"
                  aria-label={`Mark as read: ${sentence(one)}`}
                  onClick={(event) => press(event, [one.id])}
                >
                  Mark as read
                </button>
              )}
            </li>
          ))}
        </ul>
        {hasMore && <More text="More notifications" load={inbox.loadMore} />}
      </section>
    </div>
  );
}

/** Asks for the permission when it is pressed, and never by itself. */
function PushSwitch({ viewerId }: { viewerId: string }) {
  const [state, setState] = useState<PushState>('none');
  const [problem, setProblem] = useState<string | null>(null);
  useEffect(() => {
    let isOver = false;
    pushState(viewerId).then(
      (found) => isOver || setState(found),
      (error) => isOver || setProblem(messageOf(error)),
    );
    return () => {
      isOver = true;
    };
  }, [viewerId]);
  const press = () => {
    setProblem(null);
    turnOnPush(viewerId).then(setState, (error) => setProblem(messageOf(error)));
  };
  return (
    <div className="push">
      {state === 'off' && (
        <button type="button" className="quiet" onClick={press}>
          Tell me on this device, too
        </button>
      )}
      {state === 'on' && <p className="soft">This device is told, also while the page is closed.</p>}
      {state === 'denied' && (
        <p className="soft" role="status">
          Your browser blocks messages of this site. Allow them in its settings for this site, then load the page again.
        </p>
      )}
      <Problem text={problem} />
    </div>
  );
}

/** Who did what to what: names are isolated, since they may be written from right to left. */
function Sentence({ of }: { of: NotificationView }) {
  const [who, deed, what] = wordsOf(of);
  return (
    <>
      <bdi>{who}</bdi> {deed} <bdi>{what}</bdi>
    </>
  );
}

const sentence = (of: NotificationView) => wordsOf(of).join(' ').trim();

function wordsOf({ kind, channel, video, actor }: NotificationView): [who: string, deed: string, what: string] {
  const who = actor?.displayName ?? 'Somebody';
  const what = video ? `“${video.title}”` : 'a video';
  switch (kind) {
    case 'NEW_VIDEO':
      return [channel?.name ?? 'A channel', 'published', what];
    case 'UPLOAD_FINISHED':
      return [what, 'is ready', ''];
    case 'UPLOAD_FAILED':
      return [what, 'could not be processed', ''];
    case 'COMMENT':
      return [who, 'commented on', what];
    case 'REPLY':
      return [who, 'replied to you under', what];
    case 'NEW_FOLLOWER':
      return [who, 'follows', channel?.name ?? 'your channel'];
  }
}
