import { useEffect, useState } from 'react';
import { accepted, SubscribeToChannel, UnsubscribeFromChannel } from '../../client/src/api/index.js';
import { Problem, useDeed } from './page.js';
import type { Me } from './people.js';

type Level = 'ALL' | 'HIGHLIGHTS' | 'NONE';
const LEVELS: Record<Level, string> = { ALL: 'All videos', HIGHLIGHTS: 'Highlights', NONE: 'Only the feed' };

interface Followed {
  readonly id: string;
  readonly name: string;
  readonly viewerSubscription?: { readonly notify: Level } | null;
}

/** A picture of a channel, or the first letter of its name. */
export function Avatar({ name, url, size = 48 }: { name: string; url: string | null; size?: number }) {
  const style = { width: size, height: size, fontSize: size / 2.5 };
  if (url) return <img className="avatar" src={url} alt="" style={style} />;
  return (
    <span className="avatar" aria-hidden="true" style={style}>
      {[...name][0]}
    </span>
  );
}

/** Follows and leaves, and says how much one wants to be told. Who is not signed in is asked to. */
export function Follow(props: {
  channel: Followed;
  me: Me;
  onSignIn: () => void;
  onCount: (followers: number) => void;
}) {
  const { channel, me, onSignIn, onCount } = props;
  const { id: channelId, name } = channel;
  const [level, setLevel] = useState(channel.viewerSubscription?.notify ?? null);
  useEffect(() => setLevel(channel.viewerSubscription?.notify ?? null), [channel]);
  const { isBusy, problem, act } = useDeed();

  const follow = (notify: Level | null) =>
    act(async () => {
      const { subscribeToChannel } = await me.api.request(SubscribeToChannel, { input: { channelId, notify } });
      const { subscription } = accepted(subscribeToChannel);
      setLevel(subscription?.notify ?? null);
      if (subscription) onCount(subscription.channel.subscriberCount);
    });
  const leave = () =>
    act(async () => {
      const { unsubscribeFromChannel } = await me.api.request(UnsubscribeFromChannel, { input: { channelId } });
      const { channel } = accepted(unsubscribeFromChannel);
      setLevel(null);
      if (channel) onCount(channel.subscriberCount);
    });
  const press = () => {
    if (!me.viewer) return onSignIn();
    if (level === null) follow(null);
    else leave();
  };

  return (
    <>
      <button
        type="button"
        className={level === null ? 'loud' : 'quiet'}
        aria-label={`Follow ${name}`}
        aria-pressed={level !== null}
        aria-busy={isBusy}
        onClick={press}
      >
        {level === null ? 'Follow' : 'Following'}
      </button>
      {level !== null && (
        <label className="field">
          <span className="unseen">Tell me of</span>
          <select value={level} onChange={(event) => follow(event.currentTarget.value as Level)}>
            {Object.entries(LEVELS).map(([value, text]) => (
              <option key={value} value={value}>
                {text}
              </option>
            ))}
          </select>
        </label>
      )}
      <Problem text={problem} />
    </>
  );
}
