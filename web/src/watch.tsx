import { useCallback, useEffect, useRef, useState } from 'react';
import { durationText, sizeText } from '../../client/src/units.js';
import { EMAIL, Form, messageOf, Notice, PASSWORD, Page, show } from './page.js';
import { Player } from './player.js';
import { session, signIn } from './session.js';
import {
  fetchPlayback,
  fetchVideo,
  follow,
  type Playback,
  type Progress,
  plays,
  rungs,
  STAGE_WORDS,
  STATE_WORDS,
  settled,
  type Upload,
  uploadProgress,
  type Video,
  videoProgress,
} from './video.js';

const RENEW_EARLY_MS = 5 * 60_000;
const AGAIN_MS = 10_000;
const LONGEST_TIMER_MS = 2 ** 31 - 1;

const videoId = decodeURIComponent(window.location.pathname.split('/')[2] ?? '');

type Sight = { kind: 'loading' } | { kind: 'none'; signedIn: boolean } | { kind: 'video'; video: Video };

function Watch() {
  const [sight, setSight] = useState<Sight>({ kind: 'loading' });
  const [problem, setProblem] = useState<string | null>(null);

  const load = useCallback(async () => {
    try {
      const video = await fetchVideo(videoId);
      setSight(video ? { kind: 'video', video } : { kind: 'none', signedIn: (await session()) !== null });
      setProblem(null);
    } catch (error) {
      setProblem(messageOf(error));
    }
  }, []);
  useEffect(() => void load(), [load]);

  if (problem) return <Notice title="That did not work">{<p role="alert">{problem}</p>}</Notice>;
  if (sight.kind === 'loading') return <p role="status">Loading …</p>;
  if (sight.kind === 'video') return <Theatre first={sight.video} onChange={load} />;
  if (sight.signedIn) return <Notice title="Not found">There is no such video, or it is not yours to watch.</Notice>;
  return (
    <>
      <Notice title="This video is private, or does not exist">Sign in to find out.</Notice>
      <Form
        title="Sign in"
        action="Sign in"
        fields={[EMAIL, PASSWORD]}
        onSubmit={(values) => signIn(values.email ?? '', values.password ?? '')}
        onDone={load}
      />
    </>
  );
}

/** One video that the viewer may see, from its first byte to its last frame. */
function Theatre(props: { first: Video; onChange: () => void }) {
  const { first, onChange } = props;
  const [progress, setProgress] = useState<Progress>(first);
  const [upload, setUpload] = useState<Upload | null>(first.uploadSession);
  const [problem, setProblem] = useState<string | null>(null);
  const uploading = progress.state === 'UPLOADING' ? first.uploadSession?.id : undefined;
  const watching = !settled(first);

  useEffect(() => {
    document.title = `${progress.title} · Sluice`;
  }, [progress.title]);
  useEffect(
    () => (watching ? follow((signal) => videoProgress(videoId, signal), setProgress, setProblem) : undefined),
    [watching],
  );
  useEffect(
    () => (uploading ? follow((signal) => uploadProgress(uploading, signal), setUpload, setProblem) : undefined),
    [uploading],
  );

  return (
    <>
      {plays(progress) ? (
        <Screen first={first} progress={progress} autoplay={!plays(first)} onGone={onChange} onProblem={setProblem} />
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
      <p className="soft">
        {first.channel.name} @{first.channel.handle}
        {progress.state !== 'READY' && ` · ${STATE_WORDS[progress.state]}`}
        {progress.state === 'PLAYABLE' && progress.processing && ` (${percent(progress.processing.progress)})`}
        {first.visibility !== 'PUBLIC' && ` · ${first.visibility === 'PRIVATE' ? 'Private' : 'Unlisted'}`}
      </p>
      {first.description && <p className="description">{first.description}</p>}
    </>
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

function Screen(props: {
  first: Video;
  progress: Progress;
  autoplay: boolean;
  onGone: () => void;
  onProblem: (message: string | null) => void;
}) {
  const { progress, autoplay, onGone, onProblem } = props;
  const container = useRef<HTMLDivElement>(null);
  const element = useRef<HTMLVideoElement>(null);
  const [player, setPlayer] = useState<Player | null>(null);
  const available = rungs(progress);

  // One player for as long as the page shows this video.
  useEffect(() => {
    if (!container.current || !element.current) return;
    const made = new Player(container.current, element.current, { failed: onProblem, gone: onGone });
    const opened = made.open().then(() => setPlayer(made), report(onProblem));
    return () => void opened.then(() => made.close()).catch(report(onProblem));
  }, [onGone, onProblem]);

  // A player reads the list of rungs once, so it loads again when there are more. The first load may begin to play.
  useEffect(() => {
    if (!player || available === 0) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let over = false;
    const later = (work: () => Promise<void>, ms: number) => {
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
    const renewBeforeEnd = ({ expiresAt }: Playback) => {
      if (expiresAt) later(renew, Math.max(AGAIN_MS, Date.parse(expiresAt) - Date.now() - RENEW_EARLY_MS));
    };
    const renew = async () => {
      const { playback } = await fetchPlayback(videoId);
      if (!playback) return onGone();
      player.renew(playback);
      renewBeforeEnd(playback);
    };
    const start = async () => {
      const { playback, storyboardUrl } = await fetchPlayback(videoId);
      if (over) return;
      if (!playback) return onGone();
      await player.load({ playback, storyboardUrl });
      renewBeforeEnd(playback);
      if (autoplay && element.current?.currentTime === 0) await player.play();
    };
    attempt(start);
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, [player, available, autoplay, onGone, onProblem]);

  return (
    <div className="screen" ref={container}>
      {/* biome-ignore lint/a11y/useMediaCaption: captions are tracks of the manifest, which Shaka shows itself */}
      <video ref={element} playsInline aria-label={progress.title} />
    </div>
  );
}

const report = (tell: (message: string) => void) => (error: unknown) => tell(messageOf(error));
const percent = (share: number) => `${Math.floor(share * 100)} %`;
show(
  <Page wide>
    <Watch />
  </Page>,
);
