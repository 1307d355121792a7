import { useCallback, useEffect, useRef, useState } from 'react';
import { ApiError, Channel, type ChannelCardFragment } from '../../client/src/api/index.js';
import { useFeed } from '../../client/src/react/discovery.js';
import { Bell } from './bell.js';
import { Avatar, Follow } from './channel-head.js';
import { messageOf, Notice, Page, Retry, show } from './page.js';
import { counted, type Me, useMe } from './people.js';
import { SignIn, useAsking } from './sign-in.js';
import { STATE_WORDS } from './video.js';
import { problemText, VideoList } from './video-list.js';

const handle = decodeURIComponent(window.location.pathname.split('/')[2] ?? '');

function ChannelPage() {
  const me = useMe();
  const [channel, setChannel] = useState<ChannelCardFragment | null | undefined>(undefined);
  const [problem, setProblem] = useState<string | null>(null);
  const last = useRef(0);
  const api = me?.api;
  const load = useCallback(async () => {
    if (!api) return;
    const mine = ++last.current;
    setProblem(null);
    try {
      const { channel } = await api.request(Channel, { handle });
      // What another viewer was answered is not for who looks now.
      if (mine === last.current) setChannel(channel ?? null);
    } catch (error) {
      if (mine === last.current) setProblem(error instanceof ApiError ? problemText(error) : messageOf(error));
    }
  }, [api]);
  useEffect(() => void load(), [load]);
  useEffect(() => {
    if (channel) document.title = `${channel.name} · Sluice`;
  }, [channel]);

  if (problem) return <Retry problem={problem} onRetry={() => void load()} />;
  if (!me || channel === undefined) return <p role="status">Loading …</p>;
  if (channel === null) {
    return (
      <Notice title="Not found">
        There is no channel <bdi>@{handle}</bdi>. <a href="/">See what there is.</a>
      </Notice>
    );
  }
  return (
    <>
      <Head channel={channel} me={me} />
      <Videos me={me} />
    </>
  );
}

function Head({ channel, me }: { channel: ChannelCardFragment; me: Me }) {
  const { name, avatarUrl, bannerUrl, description, subscriberCount, videoCount, viewerCanManage } = channel;
  const [followers, setFollowers] = useState(subscriberCount);
  useEffect(() => setFollowers(subscriberCount), [subscriberCount]);
  const { asking, askWho } = useAsking();
  return (
    <section className="channel" aria-label="Channel">
      {bannerUrl && <img className="banner" src={bannerUrl} alt="" width={1600} height={400} />}
      <div className="line">
        <Avatar name={name} url={avatarUrl ?? null} size={80} />
        <div className="name">
          <h1>{name}</h1>
          <p className="soft">
            @{channel.handle} · {counted(followers, 'follower')} · {counted(videoCount, 'video')}
          </p>
        </div>
        <div className="buttons">
          <Follow channel={channel} me={me} onSignIn={askWho} onCount={setFollowers} />
          {viewerCanManage && <a href="/account">Manage</a>}
        </div>
      </div>
      {me.viewer === null && <SignIn asking={asking} />}
      {description && <p className="description">{description}</p>}
    </section>
  );
}

function Videos({ me }: { me: Me }) {
  const feed = useFeed(me.api, { channel: handle });
  return (
    <section>
      <h2>Videos</h2>
      <VideoList
        label="Videos"
        layout="grid"
        videos={feed.videos}
        paged={feed}
        isEndless
        withChannel={false}
        empty={<p>Nothing is published here yet.</p>}
        card={({ state, visibility }) => {
          // Others are shown nothing but what is public and ready.
          const notes = [
            ...(visibility === 'PUBLIC' ? [] : [visibility === 'PRIVATE' ? 'Private' : 'Unlisted']),
            ...(state === 'READY' || state === 'PLAYABLE' ? [] : [STATE_WORDS[state]]),
          ];
          return { children: notes.length > 0 && <p className="notes">{notes.join(' · ')}</p> };
        }}
      />
    </section>
  );
}

show(
  <Page width="full" bell={<Bell />}>
    <ChannelPage />
  </Page>,
);
