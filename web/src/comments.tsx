import { type FormEvent, type KeyboardEvent, useEffect, useId, useRef, useState } from 'react';
import type { CommentView } from '../../client/src/api/index.js';
import { type UseComments, useComments } from '../../client/src/react/people.js';
import { More, messageOf, Problem } from './page.js';
import { agoText, counted, type Me } from './people.js';
import { LikeButton } from './reactions.js';

const MOST_CHARACTERS = 2_000;
type Order = 'NEWEST' | 'TOP';

interface Around {
  readonly list: UseComments;
  readonly viewerId: string | null;
  /** Owners and editors of the channel. */
  readonly mayPin: boolean;
  readonly onSignIn: () => void;
  /** A comment went, and with it what had the focus. */
  readonly onGone: () => void;
}

/** What is said under a video, as it is now. */
export function Comments(props: { me: Me; videoId: string; mayPin: boolean; onSignIn: () => void }) {
  const { me, videoId, mayPin, onSignIn } = props;
  const [orderBy, setOrderBy] = useState<Order>('NEWEST');
  const list = useComments(me.api, { videoId, orderBy });
  const { state, comments, pinned, commentCount, hasMore, error } = list;
  const viewerId = me.viewer?.id ?? null;
  const news = useNews(comments, viewerId, state === 'loading');
  const title = useId();
  const heading = useRef<HTMLHeadingElement>(null);
  /** Who signs in to comment goes on with that. */
  const [wantsToWrite, setWantsToWrite] = useState(false);

  // What is pinned stands above, with its replies where those are known.
  const above = pinned && (comments.find(({ id }) => id === pinned.id) ?? pinned);
  const signInToWrite = () => {
    setWantsToWrite(true);
    onSignIn();
  };
  const around = { list, viewerId, mayPin, onSignIn, onGone: () => heading.current?.focus() };
  return (
    <section className="comments" aria-labelledby={title}>
      <div className="line">
        <h2 id={title} ref={heading} tabIndex={-1}>
          {counted(commentCount, 'comment')}
        </h2>
        {commentCount > 0 && (
          <label className="field">
            Order{' '}
            <select value={orderBy} onChange={(event) => setOrderBy(event.currentTarget.value as Order)}>
              <option value="NEWEST">Newest first</option>
              <option value="TOP">Most liked first</option>
            </select>
          </label>
        )}
      </div>
      {me.viewer ? (
        <Writer label="Add a comment" action="Comment" onSend={(text) => list.add(text)} isFocused={wantsToWrite} />
      ) : (
        <p>
          <button type="button" className="quiet" onClick={signInToWrite}>
            Sign in to comment
          </button>
        </p>
      )}
      {state === 'waiting' && <p role="status">The connection is cut. What is new comes when it is back.</p>}
      {state === 'loading' && !error && <p role="status">Loading comments …</p>}
      <Problem text={error && state !== 'waiting' ? error.message : null} />
      <p aria-live="polite" className="unseen">
        {news}
      </p>
      {state === 'live' && commentCount === 0 && <p className="soft">Nobody has said anything yet.</p>}
      <ul className="thread">
        {above && <Comment key={above.id} comment={above} {...around} />}
        {comments
          .filter(({ id }) => id !== above?.id)
          .map((comment) => (
            <Comment key={comment.id} comment={comment} {...around} />
          ))}
      </ul>
      {hasMore && <More text="More comments" load={list.loadMore} />}
    </section>
  );
}

/** A sentence for screen readers when others say something. */
function useNews(comments: readonly CommentView[], viewerId: string | null, isLoading: boolean): string {
  const [news, setNews] = useState('');
  const latest = useRef<string | null>(null);
  useEffect(() => {
    if (isLoading) return;
    const before = latest.current;
    const newest = comments.reduce<CommentView | null>(
      (found, one) => (found && found.createdAt >= one.createdAt ? found : one),
      null,
    );
    latest.current = newest?.createdAt ?? before ?? '';
    if (before === null || !newest || newest.createdAt <= before || newest.author?.id === viewerId) return;
    setNews(`New comment by ${newest.author?.displayName ?? 'somebody'}: ${newest.text ?? ''}`);
  }, [comments, viewerId, isLoading]);
  return news;
}

type Doing = 'edit' | 'reply' | 'delete' | null;

function Comment(props: Around & { comment: CommentView }) {
  const { comment, ...around } = props;
  const { list, viewerId, mayPin, onSignIn, onGone } = around;
  const { id, parentId, author, text, replies, replyCount } = comment;
  /** And what was done before that: the keyboard goes back to its button. */
  const [{ doing, done }, setDoing] = useState<{ doing: Doing; done: Doing }>({ doing: null, done: null });
  const [problem, setProblem] = useState<string | null>(null);
  const isDeleted = comment.deletedAt !== null;
  const name = author?.displayName ?? 'Somebody';

  const act = (deed: Promise<void>) => {
    setProblem(null);
    deed.catch((error) => setProblem(messageOf(error)));
  };
  const begin = (what: Doing) => setDoing({ doing: what, done: null });
  const end = () => setDoing({ doing: null, done: doing });
  const reply = async (words: string) => {
    await list.add(words, id);
    end();
    // They are shown with the answer among them.
    if (replies === null || comment.hasMoreReplies) await list.loadReplies(id);
  };
  const edit = async (words: string) => {
    await list.edit(id, words);
    end();
  };

  return (
    <li>
      <article aria-label={isDeleted ? 'Deleted comment' : `Comment by ${name}`}>
        {isDeleted ? (
          <p className="soft">This comment was deleted.</p>
        ) : (
          <p className="by">
            <bdi>
              <strong>{name}</strong>
            </bdi>{' '}
            <time className="soft" dateTime={comment.createdAt}>
              {agoText(comment.createdAt)}
            </time>
            {comment.editedAt && <span className="soft"> · edited</span>}
            {comment.pinned && <span className="badge">Pinned</span>}
          </p>
        )}
        {doing === 'edit' ? (
          <Writer label="Change your comment" action="Save" text={text ?? ''} onSend={edit} onCancel={end} />
        ) : (
          !isDeleted && <Words text={text ?? ''} links={comment.links} />
        )}
        {!isDeleted && (
          <div className="buttons">
            <LikeButton
              what={`Like the comment by ${name}`}
              liked={comment.viewerHasLiked}
              count={comment.likeCount}
              onPress={() => (viewerId ? act(list.like(id, !comment.viewerHasLiked)) : onSignIn())}
            />
            {parentId === null && viewerId && (
              <Small text="Reply" onPress={() => begin('reply')} isFocused={done === 'reply'} />
            )}
            {comment.viewerCanEdit && <Small text="Edit" onPress={() => begin('edit')} isFocused={done === 'edit'} />}
            {mayPin && parentId === null && (
              <Small text={comment.pinned ? 'Unpin' : 'Pin'} onPress={() => act(list.pin(id, !comment.pinned))} />
            )}
            {comment.viewerCanDelete &&
              (doing === 'delete' ? (
                <>
                  <Small text="Delete for good" onPress={() => act(list.remove(id).then(onGone))} isFocused />
                  <Small text="Keep" onPress={end} />
                </>
              ) : (
                <Small text="Delete" onPress={() => begin('delete')} isFocused={done === 'delete'} />
              ))}
          </div>
        )}
        <Problem text={problem} />
        {doing === 'reply' && <Writer label={`Reply to ${name}`} action="Reply" onSend={reply} onCancel={end} />}
      </article>
      {replies && (
        <ul className="thread" aria-label={`Replies to ${name}`}>
          {replies.map((one) => (
            <Comment key={one.id} comment={one} {...around} />
          ))}
        </ul>
      )}
      {replyCount > 0 && replies === null && (
        <More text={`Show ${counted(replyCount, 'reply', 'replies')}`} load={() => list.loadReplies(id)} />
      )}
      {replies && comment.hasMoreReplies && <More text="More replies" load={() => list.loadReplies(id)} />}
    </li>
  );
}

/** Plain text: React escapes it, and what the server found to be addresses in it becomes links that vouch for nothing. */
function Words({ text, links }: Pick<CommentView, 'links'> & { text: string }) {
  const parts: (string | { shown: string; url: string; at: number })[] = [];
  let end = 0;
  for (const { start, length, url } of links) {
    parts.push(text.slice(end, start), { shown: text.slice(start, start + length), url, at: start });
    end = start + length;
  }
  parts.push(text.slice(end));
  return (
    <p className="words">
      {parts.map((part) =>
        typeof part === 'string' ? (
          part
        ) : (
          <a key={part.at} href={part.url} rel="nofollow ugc noopener noreferrer" target="_blank">
            {part.shown}
          </a>
        ),
      )}
    </p>
  );
}

/** A field for some lines. Ctrl+Enter sends, Escape gives up. */
function Writer(props: {
  label: string;
  action: string;
  text?: string;
  onSend: (text: string) => Promise<void>;
  onCancel?: () => void;
  isFocused?: boolean;
}) {
  const { label, action, onSend, onCancel, isFocused = onCancel !== undefined } = props;
  const [text, setText] = useState(props.text ?? '');
  const [isBusy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const field = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    if (isFocused) field.current?.focus();
  }, [isFocused]);

  const send = async (event?: FormEvent) => {
    event?.preventDefault();
    if (isBusy || text.trim() === '') return;
    setBusy(true);
    setProblem(null);
    try {
      await onSend(text);
      setText('');
    } catch (error) {
      setProblem(messageOf(error));
    } finally {
      setBusy(false);
    }
  };
  const press = (event: KeyboardEvent) => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) void send();
    if (event.key === 'Escape' && onCancel) onCancel();
  };
  return (
    <form className="writer" onSubmit={send} aria-label={label}>
      <textarea
        ref={field}
        aria-label={label}
        placeholder={label}
        rows={2}
        maxLength={MOST_CHARACTERS}
        value={text}
        onChange={(event) => setText(event.currentTarget.value)}
        onKeyDown={press}
      />
      <Problem text={problem} />
      <div className="buttons">
        <button type="submit" aria-busy={isBusy} disabled={text.trim() === ''}>
          {action}
        </button>
        {onCancel && <Small text="Cancel" onPress={onCancel} />}
      </div>
    </form>
  );
}

function Small(props: { text: string; onPress: () => void; isFocused?: boolean }) {
  const { text, onPress, isFocused = false } = props;
  const button = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (isFocused) button.current?.focus();
  }, [isFocused]);
  return (
    <button type="button" className="small" ref={button} onClick={onPress}>
      {text}
    </button>
  );
}
