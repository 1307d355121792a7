import { useCallback, useEffect, useRef, useState } from 'react';
import { useFeed } from '../../client/src/react/discovery.js';
import { durationText, sizeText } from '../../client/src/units.js';
import { Bell } from './bell.js';
import { Comments } from './comments.js';
import { EMAIL, Form, messageOf, Notice, PASSWORD, Page, show } from './page.js';
import { type Me, useMe, viewsText } from './people.js';
import { Player } from './player.js';
import { ChannelLine } from './reactions.js';
import { searchPath } from './search-box.js';
import { onSession, session, signIn } from './session.js';
import { SignIn, useAsking } from './sign-in.js';
import {
  fetchPlayback,
  fetchVideo,
  follow,
  isSending,
  noteOf,
  offered,
  type Playback,
  type Progress,
  percent,
  plays,
  type Rendition,
  requestRendition,
  STAGE_WORDS,
  STATE_WORDS,
  settled,
  type Upload,
  uploadProgress,
  type Video,
  videoProgress,
  videoState,
} from './video.js';
import { VideoList } from './video-list.js';
import { tellOfView } from './view-beacon.js';

const RENEW_EARLY_MS = 5 * 60_000;
const AGAIN_MS = 10_000;
const MOST_RELATED = 12;
const LONGEST_TIMER_MS = 2 ** 31 - 1;

const videoId = decodeURIComponent(window.location.pathname.split('/')[2] ?? '');

type Sight =
  | { kind: 'loading' }
  /** `seen`: until just now it was shown. */
  | { kind: 'none'; signedIn: boolean; seen: boolean }
  | { kind: 'video'; video: Video };

function Watch() {
  const [sight, setSight] = useState<Sight>({ kind: 'loading' });
  const [problem, setProblem] = useState<string | null>(null);

  const last = useRef(0);
  const load = useCallback(async () => {
    const mine = ++last.current;
    try {
      const video = await fetchVideo(videoId);
      const signedIn = (await session()) !== null;
      // What another viewer was answered is not for who looks now.
      if (mine !== last.current) return;
      const none = (before: Sight): Sight => {
        const seen = before.kind === 'video' || (before.kind === 'none' && before.seen);
        return { kind: 'none', signedIn, seen };
      };
      setSight(video ? { kind: 'video', video } : none);
      setProblem(null);
    } catch (error) {
      if (mine === last.current) setProblem(messageOf(error));
    }
  }, []);
  useEffect(() => {
    void load();
    return onSession(() => void load());
  }, [load]);

  if (problem) return <Notice title="That did not work">{<p role="alert">{problem}</p>}</Notice>;
  if (sight.kind === 'loading') return <p role="status">Loading …</p>;
  if (sight.kind === 'video') return <Theatre first={sight.video} onChange={load} />;
  const ended = 'This video is not available any more';
  if (sight.signedIn) {
    return (
      <Notice title={sight.seen ? ended : 'Not found'}>
        {sight.seen
          ? 'It was made private or taken off while you watched.'
          : 'There is no such video, or it is not yours to watch.'}
      </Notice>
    );
  }
  return (
    <>
      <Notice title={sight.seen ? ended : 'This video is private, or does not exist'}>
        {sight.seen
          ? 'It was made private or taken off while you watched. If it is yours, sign in to see it.'
          : 'Sign in to find out.'}
      </Notice>
      <Form
        title="Sign in"
        action="Sign in"
        fields={[EMAIL, PASSWORD]}
        onSubmit={(values) => signIn(values.email ?? '', values.password ?? '')}
      />
    </>
  );
}

/** One video that the viewer may see, from its first byte to its last frame. */
function Theatre(props: { first: Video; onChange: () => Promise<void> }) {
  const { first, onChange } = props;
  const [progress, setProgress] = useState<Progress>(first);
  const [upload, setUpload] = useState<Upload | null>(first.uploadSession);
  // A page that waited for its video begins to play; one that was opened on it waits for its viewer.
  const [autoplay] = useState(!plays(first));
  const [playback, setPlayback] = useState<Playback | null>(first.playback);
  const [problem, setProblem] = useState<string | null>(null);
  const sending = isSending(upload) ? upload?.id : undefined;
  const isMaking = !settled(progress);
  const me = useMe();
  const { asking, askWho } = useAsking();

  const takeRendition = useCallback((now: Rendition) => {
    setProgress((before) => ({
      ...before,
      renditions: before.renditions.map((each) => (each.name === now.name ? now : each)),
    }));
  }, []);

  useEffect(() => {
    document.title = `${progress.title} · Sluice`;
  }, [progress.title]);
  useEffect(
    () =>
      follow(
        (signal): AsyncIterable<Partial<Progress>> => (isMaking ? videoProgress : videoState)(videoId, signal),
        (change) => setProgress((before) => ({ ...before, ...change })),
        setProblem,
        onChange,
      ),
    [isMaking, onChange],
  );
  useEffect(
    () => (sending ? follow((signal) => uploadProgress(sending, signal), setUpload, setProblem) : undefined),
    [sending],
  );

  return (
    <div className="theatre">
      <div>
        {plays(progress) ? (
          <Screen
            progress={progress}
            me={me}
            autoplay={autoplay}
            onPlayback={setPlayback}
            onRendition={takeRendition}
            onGone={onChange}
            onProblem={setProblem}
          />
        ) : (
          <div className="screen">
            <Waiting progress={progress} upload={upload} />
          </div>
        )}
        {problem && (
          <p role="alert" className="problem">
            {problem}
          </p>
        )}
        <h1>{progress.title}</h1>
        <p className="soft">{viewsText(first)}</p>
        {me && (
          <ChannelLine
            video={first}
            videoId={videoId}
            me={me}
            onSignIn={askWho}
            note={
              <>
                {progress.state !== 'READY' && ` · ${STATE_WORDS[progress.state]}`}
                {first.visibility !== 'PUBLIC' && ` · ${first.visibility === 'PRIVATE' ? 'Private' : 'Unlisted'}`}
              </>
            }
          />
        )}
        {me?.viewer === null && <SignIn asking={asking} />}
        {progress.state === 'PLAYABLE' && <Making progress={progress} upload={upload} />}
        {playback?.mp4Url && (
          <p>
            <a href={playback.mp4Url} download>
              Download as MP4
            </a>
          </p>
        )}
        {first.description && <p className="description">{first.description}</p>}
        {first.tags.length > 0 && (
          <ul className="tags" aria-label="Tags">
            {first.tags.map((tag) => (
              <li key={tag}>
                <a href={searchPath(tag)}>
                  <bdi>{tag}</bdi>
                </a>
              </li>
            ))}
          </ul>
        )}
      </div>
      {me && <Related me={me} />}
      {me && <Comments me={me} videoId={videoId} mayPin={first.viewerCanEdit} onSignIn={askWho} />}
    </div>
  );
}

/** What else there is. It stands by itself: the video plays on without it. */
function Related({ me }: { me: Me }) {
  const feed = useFeed(me.api, { related: videoId }, { pageSize: MOST_RELATED });
  if (feed.state === 'ready' && feed.videos.length === 0) return null;
  return (
    <aside aria-labelledby="related">
      <h2 id="related">Related videos</h2>
      <VideoList label="Related videos" layout="side" videos={feed.videos} paged={feed} />
    </aside>
  );
}

/** Where the picture will be: how far it is, or why it never comes. */
function Waiting(props: { progress: Progress; upload: Upload | null }) {
  const { progress, upload } = props;
  const failure = progress.failure ?? upload?.failure;
  if (progress.state === 'FAILED' || progress.state === 'BLOCKED') {
    return (
      <div className="waiting" role="alert">
        <strong>{progress.state === 'FAILED' ? 'This video could not be processed' : 'This video is blocked'}</strong>
        {failure && <span>{failure.message}</span>}
        {failure && <span className="soft">Code {failure.code}</span>}
      </div>
    );
  }
  const sending = progress.state === 'UPLOADING';
  const share = sending ? upload?.progress : progress.processing?.progress;
  const secondsLeft = sending ? upload?.secondsLeft : progress.processing?.secondsLeft;
  const label = sending
    ? upload?.pausedAt
      ? 'The upload is paused'
      : 'Uploading'
    : (STAGE_WORDS[progress.processing?.stage ?? 'QUEUED'] ?? STATE_WORDS[progress.state]);
  return (
    <div className="waiting">
      <strong role="status">{label}</strong>
      <progress aria-label={label} max={1} value={share ?? undefined} />
      <span className="soft">
        {share !== undefined && percent(share)}
        {sending && upload && ` of ${sizeText(upload.sizeBytes)}`}
        {typeof secondsLeft === 'number' && `, about ${durationText(secondsLeft)} left`}
      </span>
      {failure && (
        <span>
          {failure.message} <span className="soft">Code {failure.code}</span>
        </span>
      )}
      <span className="soft">It starts to play here as soon as it can.</span>
    </div>
  );
}

/** What is still being made of a video that plays already. */
function Making(props: { progress: Progress; upload: Upload | null }) {
  const { progress, upload } = props;
  const secondsLeft = progress.processing?.secondsLeft;
  return (
    <section className="card making" aria-label="Being made">
      {upload && isSending(upload) && (
        <label>
          <span>{upload.pausedAt ? 'Upload, paused' : 'Upload'}</span>
          <progress max={1} value={upload.progress} />
          <span>{percent(upload.progress)}</span>
        </label>
      )}
      {progress.renditions.map((rendition) => (
        <label key={rendition.name}>
          <span>{rendition.name}</span>
          <progress max={1} value={rendition.progress} />
          <span>{noteOf(rendition) || 'ready'}</span>
        </label>
      ))}
      {typeof secondsLeft === 'number' && <p className="soft">About {durationText(secondsLeft)} left</p>}
    </section>
  );
}

function Screen(props: {
  progress: Progress;
  me: Me | null;
  autoplay: boolean;
  onPlayback: (playback: Playback) => void;
  onRendition: (rendition: Rendition) => void;
  onGone: () => void;
  onProblem: (message: string | null) => void;
}) {
  const { progress, me, autoplay, onPlayback, onRendition, onGone, onProblem } = props;
  const container = useRef<HTMLDivElement>(null);
  const element = useRef<HTMLVideoElement>(null);
  const gone = useRef(onGone);
  const [chosen, setChosen] = useState<string | null>(null);
  /** The rung that this viewer has made. */
  const [asked, setAsked] = useState<string | null>(null);
  const [player, setPlayer] = useState<Player | null>(null);
  const hasBegun = offered(progress).some(({ playable }) => playable);
  const isReady = progress.state === 'READY';

  // One player for as long as the page shows this video.
  useEffect(() => {
    if (!container.current || !element.current) return;
    const made = new Player(container.current, element.current, {
      failed: onProblem,
      gone: () => gone.current(),
      chosen: setChosen,
    });
    const opened = made.open().then(() => setPlayer(made), report(onProblem));
    return () => void opened.then(() => made.close()).catch(report(onProblem));
  }, [onProblem]);

  // Who signs in while they watch has been told of.
  const isTold = useRef(false);
  useEffect(() => {
    if (!me || !element.current || isTold.current) return;
    return tellOfView(element.current, () => {
      isTold.current = true;
      return me.api.recordView(videoId);
    });
  }, [me]);

  // Further rungs are taken up in passing: what plays goes on.
  useEffect(() => player?.offer(offered(progress)), [player, progress]);

  const chosenState = progress.renditions.find(({ name }) => name === chosen)?.state;
  useEffect(() => {
    if (!player || chosen === null) return;
    const isAbsent = chosenState === 'ON_DEMAND';
    const leave = (why: string) => {
      setChosen((now) => (now === chosen ? null : now));
      setAsked(null);
      player.leave(chosen);
      onProblem(`${chosen} is not made. ${why}`);
    };
    if (asked === chosen && (isAbsent || chosenState === 'FAILED')) leave('Something went wrong with it.');
    if (asked === chosen || !isAbsent) return;
    onProblem(null);
    requestRendition(videoId, chosen).then(
      (rendition) => {
        setAsked(chosen);
        onRendition(rendition);
      },
      (error) => leave(messageOf(error)),
    );
  }, [player, chosen, chosenState, asked, onRendition, onProblem]);

  useEffect(() => {
    if (!player || !isReady) return;
    fetchPlayback(videoId)
      .then((found) => player.preview(found?.storyboardUrl ?? null))
      .catch(report(onProblem));
  }, [player, isReady, onProblem]);

  useEffect(() => {
    if (!player || !hasBegun) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let over = false;
    let lookedAt = Number.NEGATIVE_INFINITY;
    const later = (work: () => Promise<void>, ms: number) => {
      clearTimeout(timer);
      if (!over) timer = setTimeout(() => attempt(work), Math.min(LONGEST_TIMER_MS, ms));
    };
    const attempt = (work: () => Promise<void>) => {
      work().then(
        () => onProblem(null),
        (error) => {
          onProblem(messageOf(error));
          later(work, AGAIN_MS);
        },
      );
    };
    /** Does `take` with the addresses of now, and comes back before they end. */
    const withAddresses = (take: (playback: Playback, storyboardUrl: string | null) => Promise<void>) => async () => {
      const found = await fetchPlayback(videoId);
      if (over) return;
      if (!found) return onGone();
      const { playback, storyboardUrl } = found;
      if (!playback) return later(start, AGAIN_MS);
      onPlayback(playback);
      await take(playback, storyboardUrl);
      if (!playback.expiresAt) return;
      const left = Date.parse(playback.expiresAt) - Date.now();
      // Never in haste: the clocks may differ. A refusal has it ask at once.
      later(renew, Math.max(AGAIN_MS, left - Math.min(RENEW_EARLY_MS, left / 3)));
    };
    const renew = withAddresses(async (playback, storyboardUrl) => {
      player.renew(playback);
      await player.preview(storyboardUrl);
    });
    const renewRefused = withAddresses(async (playback, storyboardUrl) => {
      if (player.renew(playback)) return player.preview(storyboardUrl);
      // The addresses are as they were, and still nothing is there: it was processed anew, and is another now.
      await player.load(playback, storyboardUrl);
    });
    const start = withAddresses(async (playback, storyboardUrl) => {
      const video = element.current;
      // The first load may begin to play, with its first segment: the end of the load may wait for the second.
      if (autoplay && video?.currentTime === 0) {
        video.addEventListener('canplay', () => void player.play().catch(report(onProblem)), { once: true });
      }
      await player.load(playback, storyboardUrl);
    });
    gone.current = () => {
      if (performance.now() - lookedAt < AGAIN_MS) return;
      lookedAt = performance.now();
      attempt(renewRefused);
    };
    attempt(start);
    return () => {
      over = true;
      gone.current = onGone;
      clearTimeout(timer);
    };
  }, [player, hasBegun, autoplay, onPlayback, onGone, onProblem]);

  return (
    <div className="screen" ref={container}>
      {/* biome-ignore lint/a11y/useMediaCaption: captions are tracks of the manifest, which Shaka shows itself */}
      <video ref={element} playsInline aria-label={progress.title} />
    </div>
  );
}

const report = (tell: (message: string) => void) => (error: unknown) => tell(messageOf(error));
show(
  <Page width="full" bell={<Bell />}>
    <Watch />
  </Page>,
);
