import { type ReactNode, useEffect, useState } from 'react';
import { accepted, ReactToVideo, SubscribeToChannel, UnsubscribeFromChannel } from '../../client/src/api/index.js';
import { Problem, useDeed } from './page.js';
import { counted, countText, type Me } from './people.js';
import type { Video, VideoChannel } from './video.js';

type Level = 'ALL' | 'HIGHLIGHTS' | 'NONE';
const LEVELS: Record<Level, string> = { ALL: 'All videos', HIGHLIGHTS: 'Highlights', NONE: 'Only the feed' };

/** The channel with its pictures, and what one may do about it and about the video. */
export function ChannelLine(props: { video: Video; videoId: string; me: Me; onSignIn: () => void; note: ReactNode }) {
  const { video, videoId, me, onSignIn, note } = props;
  const { name, handle, avatarUrl, bannerUrl } = video.channel;
  const [followers, setFollowers] = useState(video.channel.subscriberCount);
  useEffect(() => setFollowers(video.channel.subscriberCount), [video]);
  return (
    <section className="channel" aria-label="Channel">
      {bannerUrl && <img className="banner" src={bannerUrl} alt="" width={1600} height={400} />}
      <div className="line">
        {avatarUrl ? (
          <img className="avatar" src={avatarUrl} alt="" width={48} height={48} />
        ) : (
          <span className="avatar" aria-hidden="true">
            {[...name][0]}
          </span>
        )}
        <p>
          <bdi>
            <strong>{name}</strong>
          </bdi>{' '}
          <span className="soft">@{handle}</span>
          <br />
          <span className="soft">
            {counted(followers, 'follower')}
            {note}
          </span>
        </p>
        <div className="buttons">
          <Follow channel={video.channel} me={me} onSignIn={onSignIn} onCount={setFollowers} />
          <Like video={video} videoId={videoId} me={me} onSignIn={onSignIn} />
        </div>
      </div>
    </section>
  );
}

function Follow(props: { channel: VideoChannel; me: Me; onSignIn: () => void; onCount: (followers: number) => void }) {
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

function Like(props: { video: Video; videoId: string; me: Me; onSignIn: () => void }) {
  const { video, videoId, me, onSignIn } = props;
  const [{ liked, count }, setLike] = useState(likeOf(video));
  useEffect(() => setLike(likeOf(video)), [video]);
  const { isBusy, problem, act } = useDeed();
  const press = () => {
    if (!me.viewer) return onSignIn();
    act(async () => {
      const { reactToVideo } = await me.api.request(ReactToVideo, { input: { videoId, like: !liked } });
      const { video: now } = accepted(reactToVideo);
      if (now) setLike(likeOf(now));
    });
  };
  return (
    <>
      <LikeButton what="Like this video" liked={liked} count={count} isBusy={isBusy} onPress={press} />
      <Problem text={problem} />
    </>
  );
}

const likeOf = (video: { viewerHasLiked: boolean; likeCount: number }) => ({
  liked: video.viewerHasLiked,
  count: video.likeCount,
});

export function LikeButton(props: {
  what: string;
  liked: boolean;
  count: number;
  isBusy?: boolean;
  onPress: () => void;
}) {
  const { what, liked, count, isBusy, onPress } = props;
  return (
    <button
      type="button"
      className="quiet like"
      aria-label={`${what}: ${counted(count, 'like')}`}
      aria-pressed={liked}
      aria-busy={isBusy}
      onClick={onPress}
    >
      <span aria-hidden="true">{liked ? '♥' : '♡'}</span> {countText(count)}
    </button>
  );
}
