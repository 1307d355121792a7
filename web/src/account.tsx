import { useCallback, useEffect, useRef, useState } from 'react';
import { channelPath, watchPath } from './cards.js';
import { type Invitation, Invitations } from './invitations.js';
import {
  DISPLAY_NAME,
  EMAIL,
  Form,
  messageOf,
  NEW_PASSWORD,
  Notice,
  PASSWORD,
  Page,
  Problem,
  Retry,
  show,
  useDeed,
} from './page.js';
import { Pictures } from './pictures.js';
import { onSession, register, request, session, signIn, signOut } from './session.js';
import { STATE_WORDS, type VideoState } from './video.js';

interface Viewer {
  id: string;
  displayName: string;
  channelInvitations: { nodes: Invitation[] };
  channels: {
    nodes: {
      id: string;
      handle: string;
      name: string;
      avatarUrl: string | null;
      bannerUrl: string | null;
      viewerCanManage: boolean;
      videos: { nodes: { id: string; title: string; state: VideoState }[] };
    }[];
  };
}
const VIEWER = `query Account {
  viewer { id displayName channelInvitations(first: 20) { nodes { id handle name viewerInvitation { role } } }
    channels(first: 20) { nodes { id handle name avatarUrl bannerUrl viewerCanManage
      videos(first: 10) { nodes { id title state } } } } }
}`;

function Account() {
  const [viewer, setViewer] = useState<Viewer | null | undefined>(undefined);
  const [problem, setProblem] = useState<string | null>(null);
  const last = useRef(0);
  const load = useCallback(async () => {
    const mine = ++last.current;
    setProblem(null);
    try {
      const known = await session();
      const found = known ? (await request<{ viewer: Viewer | null }>(VIEWER)).viewer : null;
      if (mine === last.current) setViewer(found);
    } catch (error) {
      if (mine === last.current) setProblem(messageOf(error));
    }
  }, []);
  useEffect(() => {
    void load();
    return onSession(() => {
      // Nobody looks at what was another's.
      setViewer(undefined);
      void load();
    });
  }, [load]);

  return (
    <>
      <h1>Your account</h1>
      {problem !== null && <Retry problem={problem} onRetry={() => void load()} />}
      {viewer === undefined && problem === null && <p role="status">Loading …</p>}
      {viewer === null && <Doors />}
      {viewer && <Mine viewer={viewer} onChange={load} />}
    </>
  );
}

function Doors() {
  return (
    <div className="doors">
      <Form
        title="Sign in"
        action="Sign in"
        fields={[EMAIL, PASSWORD]}
        onSubmit={(values) => signIn(values.email ?? '', values.password ?? '')}
        more={<a href="/reset">Forgot the password?</a>}
      />
      <Form
        title="Create an account"
        action="Sign up"
        fields={[DISPLAY_NAME, EMAIL, NEW_PASSWORD]}
        onSubmit={(values) => register(values.email ?? '', values.password ?? '', values.displayName ?? '')}
      />
    </div>
  );
}

function Mine(props: { viewer: Viewer; onChange: () => Promise<void> }) {
  const { viewer, onChange } = props;
  const { isBusy, problem, act } = useDeed();
  return (
    <>
      <p>
        Signed in as <strong>{viewer.displayName}</strong>.{' '}
        <button type="button" className="quiet" aria-busy={isBusy} onClick={() => act(signOut)}>
          Sign out
        </button>
      </p>
      <Problem text={problem} />
      <Invitations invitations={viewer.channelInvitations.nodes} viewerId={viewer.id} onChange={onChange} />
      {viewer.channels.nodes.length === 0 && (
        <Notice title="No channel yet">
          <p>
            <a href="/upload">Open one</a> to publish videos.
          </p>
        </Notice>
      )}
      {viewer.channels.nodes.map((channel) => (
        <section key={channel.id} className="card" aria-label={channel.name}>
          <h2>
            <a className="by" href={channelPath(channel.handle)}>
              <bdi>{channel.name}</bdi>
            </a>{' '}
            <small>@{channel.handle}</small>
          </h2>
          {channel.videos.nodes.length === 0 && <p>No videos yet.</p>}
          <ul className="videos">
            {channel.videos.nodes.map((video) => (
              <li key={video.id}>
                <a href={watchPath(video.id)}>{video.title}</a>
                <span className="state">{STATE_WORDS[video.state]}</span>
              </li>
            ))}
          </ul>
          {channel.viewerCanManage && <Pictures channel={channel} onChange={onChange} />}
        </section>
      ))}
    </>
  );
}

show(
  <Page>
    <Account />
  </Page>,
);
