import { type ReactNode, useEffect, useState } from 'react';
import { accepted, ReactToVideo } from '../../client/src/api/index.js';
import { channelPath } from './cards.js';
import { Avatar, Follow } from './channel-head.js';
import { Problem, useDeed } from './page.js';
import { counted, countText, type Me } from './people.js';
import type { Video } from './video.js';

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
        <Avatar name={name} url={avatarUrl} />
        <p>
          <a className="by" href={channelPath(handle)}>
            <bdi>{name}</bdi>
          </a>{' '}
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
