import { useRef } from 'react';
import type { Api } from '../../client/src/api/index.js';
import { useFeed } from '../../client/src/react/discovery.js';
import { Bell } from './bell.js';
import { everybody } from './everybody.js';
import { Page, show } from './page.js';
import { counted, useMe } from './people.js';
import { VideoList } from './video-list.js';

/** Two rows of the grid on most screens. */
const A_FEW = 8;

function Home() {
  const me = useMe();
  const trending = useFeed(everybody, 'trending', { pageSize: A_FEW });
  const newest = useFeed(everybody, 'newest', { offersNew: true });
  const newestHeading = useRef<HTMLHeadingElement>(null);
  const showNew = () => {
    newest.showNew();
    // The button goes; what it showed begins here.
    newestHeading.current?.focus();
  };
  const isEmpty = newest.state === 'ready' && newest.videos.length === 0;
  const hasTrending = trending.videos.length > 0 || trending.state !== 'ready';
  return (
    <>
      {isEmpty ? <Welcome /> : <h1 className="unseen">Videos</h1>}
      {me?.viewer && <Subscriptions key={me.viewer.id} api={me.api} />}
      {hasTrending && !isEmpty && (
        <section>
          <h2>Trending</h2>
          <VideoList label="Trending" layout="grid" videos={trending.videos} paged={trending} />
        </section>
      )}
      {!isEmpty && (
        <section>
          <h2 tabIndex={-1} ref={newestHeading}>
            Newest
          </h2>
          {newest.newCount > 0 && (
            <button type="button" className="quiet" onClick={showNew}>
              Show {counted(newest.newCount, 'new video')}
            </button>
          )}
          <VideoList label="Newest" layout="grid" videos={newest.videos} paged={newest} isEndless />
        </section>
      )}
    </>
  );
}

/** Nothing for who follows nobody. */
function Subscriptions({ api }: { api: Api }) {
  const feed = useFeed(api, 'subscriptions', { pageSize: A_FEW });
  if (feed.videos.length === 0 && feed.state !== 'failed') return null;
  return (
    <section>
      <h2>Subscriptions</h2>
      <VideoList label="Subscriptions" layout="grid" videos={feed.videos} paged={feed} />
    </section>
  );
}

/** An installation on which nothing is published yet. */
function Welcome() {
  return (
    <>
      <h1>Video, from any link to every screen</h1>
      <p className="lead">
        Nothing is published here yet. Sluice takes uploads over bad links in chunks that survive a cut, processes them
        in parallel, and streams them as HLS and DASH, all through one GraphQL API.
      </p>
      <ul className="facts">
        <li>
          <a href="/upload">Upload a video</a>, or from a terminal: <code>npx sluice upload FILE</code>
        </li>
        <li>
          <a href="/graphql">Try the API in GraphiQL</a>: the tabs hold an example for each step from signing up to
          playing.
        </li>
      </ul>
    </>
  );
}

show(
  <Page width="full" bell={<Bell />}>
    <Home />
  </Page>,
);
