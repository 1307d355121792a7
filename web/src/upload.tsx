import { type ReactNode, useCallback, useEffect, useRef, useState } from 'react';
import { Places } from '../../client/src/places.js';
import { type UploadView, useUpload } from '../../client/src/react/index.js';
import { forgetFile, rememberedFiles, rememberFile } from '../../client/src/remember.js';
import { durationText, percentText, sizeText } from '../../client/src/units.js';
import { type ChosenFile, dropped, isKept, pick, picksHandles, reopen } from './files.js';
import { EMAIL, Form, messageOf, PASSWORD, Page, show } from './page.js';
import { accessToken, request, session, signIn, type UserError } from './session.js';
import { follow, type Progress, plays, STAGE_WORDS, settled, videoProgress } from './video.js';

interface Channel {
  id: string;
  handle: string;
  name: string;
}
interface Unfinished {
  id: string;
  fileName: string;
  sizeBytes: number;
  committedBytes: number;
  expiresAt: string;
  video: { channel: { id: string } };
}
interface Viewer {
  channels: { nodes: Channel[] };
  uploadSessions: { nodes: Unfinished[] };
}
const VIEWER = `{ viewer {
  channels(first: 50) { nodes { id handle name } }
  uploadSessions(state: OPEN, first: 20) { nodes { id fileName sizeBytes committedBytes expiresAt video { channel { id } } } } } }`;

/** A file that was chosen here, and what it goes on with. */
interface Chosen extends ChosenFile {
  key: number;
  channelId: string;
  sessionId: string | null;
}

/** What browsers call a video, and what they do not know as one. */
const ACCEPT = 'video/*,.mkv,.mts,.m2ts,.mxf,.avi,.flv,.wmv';
const AT_ONCE = 2;
const places = new Places(AT_ONCE);

function Upload() {
  const [viewer, setViewer] = useState<Viewer | null | undefined>(undefined);
  const [problem, setProblem] = useState<string | null>(null);
  const load = useCallback(async () => {
    try {
      setViewer((await session()) ? (await request<{ viewer: Viewer | null }>(VIEWER)).viewer : null);
      setProblem(null);
    } catch (error) {
      setProblem(messageOf(error));
    }
  }, []);
  useEffect(() => void load(), [load]);

  if (problem) {
    return (
      <>
        <p role="alert">{problem}</p>
        <button type="button" className="quiet" onClick={() => void load()}>
          Try again
        </button>
      </>
    );
  }
  if (viewer === undefined) return <p role="status">Loading …</p>;
  if (viewer === null) {
    return (
      <>
        <Form
          title="Sign in"
          action="Sign in"
          fields={[EMAIL, PASSWORD]}
          onSubmit={(values) => signIn(values.email ?? '', values.password ?? '')}
          onDone={load}
        />
        <p>
          <a href="/account">Create an account</a>
        </p>
      </>
    );
  }
  const channels = viewer.channels.nodes;
  if (channels.length === 0) return <NewChannel onDone={load} />;
  return <Desk channels={channels} unfinished={viewer.uploadSessions.nodes} onChange={load} />;
}

function NewChannel(props: { onDone: () => void }) {
  return (
    <>
      <p className="lead">Videos belong to a channel. Open yours:</p>
      <Form
        title="A channel"
        action="Open the channel"
        fields={[
          { name: 'name', label: 'Name', autoComplete: 'off' },
          { name: 'handle', label: 'Handle: letters and digits, for its address', autoComplete: 'off' },
        ]}
        onSubmit={async (input) => {
          const { channel } = await request<{ channel: { userErrors: UserError[] } }>(
            `mutation ($input: CreateChannelInput!) { channel: createChannel(input: $input) { userErrors { code message field } } }`,
            { input },
          );
          return channel.userErrors;
        }}
        onDone={props.onDone}
      />
    </>
  );
}

/** Where files are put, and all that came of them. */
function Desk(props: { channels: Channel[]; unfinished: Unfinished[]; onChange: () => void }) {
  const { channels, unfinished, onChange } = props;
  const [channelId, setChannelId] = useState(channels[0]?.id ?? '');
  const [chosen, setChosen] = useState<Chosen[]>([]);
  const [over, setOver] = useState(false);
  const [here, setHere] = useState<ReadonlySet<string>>(new Set());
  const nextKey = useRef(0);
  const [handles, setHandles] = useState<ReadonlyMap<string, FileSystemFileHandle>>(new Map());
  useEffect(() => {
    rememberedFiles().then(
      (files) => setHandles(new Map(files.map(({ sessionId, handle }) => [sessionId, handle]))),
      // A window that keeps nothing: the same file is chosen again.
      () => setHandles(new Map()),
    );
  }, []);

  const add = (files: ChosenFile[], to = channelId, sessionId: string | null = null) => {
    const more = files.map((one) => ({ ...one, key: nextKey.current++, channelId: to, sessionId }));
    setChosen((before) => [...before, ...more]);
  };
  const onSession = useCallback((id: string, isHere: boolean) => {
    setHere((before) => new Set(isHere ? [...before, id] : [...before].filter((one) => one !== id)));
  }, []);
  const elsewhere = unfinished.filter(({ id }) => !here.has(id));

  return (
    <>
      {channels.length > 1 && (
        <label className="field">
          Channel{' '}
          <select value={channelId} onChange={(event) => setChannelId(event.target.value)}>
            {channels.map(({ id, name, handle }) => (
              <option key={id} value={id}>
                {name} @{handle}
              </option>
            ))}
          </select>
        </label>
      )}
      {/* biome-ignore lint/a11y/noStaticElementInteractions: dropping is a second way; the input inside is for everybody */}
      <div
        className={over ? 'card drop over' : 'card drop'}
        onDragOver={(event) => {
          event.preventDefault();
          setOver(true);
        }}
        onDragLeave={() => setOver(false)}
        onDrop={(event) => {
          event.preventDefault();
          setOver(false);
          void dropped(event.dataTransfer).then(add);
        }}
      >
        <FileButton label="Choose videos" multiple onFiles={add} />
        <p className="soft">
          <span className="dropping">or drop them here. </span>A cut, a closed page or a laptop that sleeps costs
          nothing: choose the same file again, and it goes on where it was. Videos are private at first.
        </p>
      </div>
      <ul className="uploads" aria-label="Uploads">
        {chosen.map((one) => (
          <Item
            key={one.key}
            chosen={one}
            onSession={onSession}
            onGone={() => setChosen((before) => before.filter(({ key }) => key !== one.key))}
          />
        ))}
      </ul>
      {elsewhere.length > 0 && (
        <section aria-labelledby="unfinished">
          <h2 id="unfinished">Unfinished</h2>
          <ul className="uploads">
            {elsewhere.map((one) => (
              <UnfinishedItem
                key={one.id}
                upload={one}
                handle={handles.get(one.id) ?? null}
                onFile={(file) => add([file], one.video.channel.id, one.id)}
                onChange={onChange}
              />
            ))}
          </ul>
        </section>
      )}
    </>
  );
}

/** A button that is a file input: keyboards and screen readers know it as such. */
function FileButton(props: {
  label: string;
  describes?: string;
  multiple?: boolean;
  onFiles: (files: ChosenFile[]) => void;
}) {
  return (
    <label className="choose">
      {props.label}
      <input
        type="file"
        accept={ACCEPT}
        multiple={props.multiple}
        aria-label={props.describes ? `${props.label}: ${props.describes}` : undefined}
        onClick={(event) => {
          if (!picksHandles()) return;
          event.preventDefault();
          void pick(props.multiple ?? false).then((files) => files.length > 0 && props.onFiles(files));
        }}
        onChange={(event) => {
          const files = [...(event.target.files ?? [])];
          // The same file may be chosen once more.
          event.target.value = '';
          if (files.length > 0) props.onFiles(files.map((file) => ({ file, handle: null })));
        }}
      />
    </label>
  );
}

const WORDS: Record<UploadView['state'], string> = {
  idle: 'Waiting for its turn',
  preparing: 'Looking at the file …',
  sending: 'Uploading',
  waiting: 'Waiting for the network …',
  paused: 'Paused',
  completing: 'All is sent; being checked …',
  done: 'Uploaded',
  failed: 'Failed',
  cancelled: 'Cancelled',
};
const OVER = new Set<UploadView['state']>(['done', 'failed', 'cancelled']);

function Item(props: { chosen: Chosen; onSession: (id: string, isHere: boolean) => void; onGone: () => void }) {
  const { chosen, onSession, onGone } = props;
  const { file, handle, channelId } = chosen;
  const upload = useUpload({ token: accessToken, channelId });
  const { state, progress, error, sessionId, videoId } = upload;
  const [turn] = useState(() => places.turn());
  const [held, setHeld] = useState(false);
  const begun = useRef(false);

  const go = () => {
    setHeld(false);
    turn.take(() => {
      if (begun.current) return upload.resume();
      begun.current = true;
      upload.start(file, chosen.sessionId === null ? {} : { sessionId: chosen.sessionId });
    });
  };
  const first = useRef(go);
  useEffect(() => {
    first.current();
    return () => turn.leave();
  }, [turn]);
  useEffect(() => {
    if (OVER.has(state)) turn.leave();
  }, [state, turn]);
  // What goes on here stands in the other list no more, until it fails.
  const id = sessionId ?? chosen.sessionId;
  useEffect(() => {
    if (id) onSession(id, state !== 'failed');
  }, [id, state, onSession]);
  useEffect(() => {
    if (!sessionId) return;
    if (state === 'done' || state === 'cancelled') void isKept(forgetFile(sessionId));
    else if (handle) void isKept(rememberFile(sessionId, handle));
  }, [sessionId, handle, state]);

  const pause = () => {
    setHeld(true);
    upload.pause();
    turn.leave();
  };
  const again = () => {
    begun.current = false;
    go();
  };
  const sent = progress.committedBytes;
  const word = held && state !== 'paused' ? WORDS.paused : WORDS[state];
  return (
    <li className="card">
      <h3>{file.name}</h3>
      {!OVER.has(state) && <progress aria-label={`Upload of ${file.name}`} max={file.size} value={sent} />}
      <p className="soft">
        <span role="status">{word}</span>
        {!OVER.has(state) && ` · ${percentText(sent, file.size)} of ${sizeText(file.size)}`}
        {state === 'sending' && progress.bytesPerSecond ? ` · ${sizeText(progress.bytesPerSecond)}/s` : ''}
        {state === 'sending' && progress.secondsLeft !== null ? ` · ${durationText(progress.secondsLeft)} left` : ''}
      </p>
      {state === 'failed' && error && (
        <p role="alert" className="problem">
          {error.message} <span className="soft">Code {error.code}</span>
        </p>
      )}
      {videoId && state === 'done' && <Made videoId={videoId} title={file.name} />}
      <p className="buttons">
        {/* One button, which keeps the focus. */}
        {!OVER.has(state) && (
          <Quiet what={held ? 'Resume' : 'Pause'} of={file.name} onClick={held ? go : pause}>
            {held ? 'Resume' : 'Pause'}
          </Quiet>
        )}
        {state === 'failed' && error?.code !== 'FILE_DIFFERS' && (
          <Quiet what="Try again" of={file.name} onClick={again}>
            Try again
          </Quiet>
        )}
        {!OVER.has(state) && (
          <Quiet
            what="Cancel"
            of={file.name}
            onClick={() => {
              if (sent > 0 && !givesUp(file.name)) return;
              upload.cancel();
              if (state !== 'idle') return;
              if (id) onSession(id, false);
              onGone();
            }}
          >
            Cancel
          </Quiet>
        )}
        {OVER.has(state) && (
          <Quiet what="Remove from the list" of={file.name} onClick={onGone}>
            Remove from the list
          </Quiet>
        )}
      </p>
    </li>
  );
}

const givesUp = (name: string): boolean => window.confirm(`Give up ${name}? What was sent of it is deleted.`);

function Quiet(props: { what: string; of: string; onClick: () => void; children: ReactNode }) {
  return (
    <button type="button" className="quiet" aria-label={`${props.what}: ${props.of}`} onClick={props.onClick}>
      {props.children}
    </button>
  );
}

/** From the last byte to the first picture. */
function Made(props: { videoId: string; title: string }) {
  const { videoId, title } = props;
  const [progress, setProgress] = useState<Progress | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const over = progress !== null && settled(progress);
  useEffect(
    () => (over ? undefined : follow((signal) => videoProgress(videoId, signal), setProgress, setProblem)),
    [videoId, over],
  );
  const address = `/watch/${encodeURIComponent(videoId)}`;
  if (problem) return <p role="alert">{problem}</p>;
  if (progress?.failure) {
    return (
      <p role="alert" className="problem">
        {progress.failure.message} <span className="soft">Code {progress.failure.code}</span>
      </p>
    );
  }
  if (progress && plays(progress)) return <a href={address}>{`Watch ${title}`}</a>;
  const stage = STAGE_WORDS[progress?.processing?.stage ?? 'QUEUED'];
  return (
    <p className="soft" role="status">
      {stage}
      {progress?.processing && ` ${percentText(progress.processing.progress, 1)}`} <a href={address}>Its page</a>
    </p>
  );
}

function UnfinishedItem(props: {
  upload: Unfinished;
  handle: FileSystemFileHandle | null;
  onFile: (file: ChosenFile) => void;
  onChange: () => void;
}) {
  const { handle } = props;
  const { id, fileName, sizeBytes, committedBytes, expiresAt } = props.upload;
  const [problem, setProblem] = useState<string | null>(null);
  const cancel = async () => {
    if (!givesUp(fileName)) return;
    try {
      await request(
        `mutation ($input: UploadSessionInput!) { cancelUploadSession(input: $input) { userErrors { code } } }`,
        {
          input: { sessionId: id },
        },
      );
      props.onChange();
    } catch (error) {
      setProblem(messageOf(error));
    }
  };
  const goOn = async (handle: FileSystemFileHandle) => {
    try {
      const again = await reopen(handle);
      if (again) props.onFile(again);
    } catch {
      setProblem('The file is not where it was. Choose it again.');
    }
  };
  const left = durationText(Math.max(0, (Date.parse(expiresAt) - Date.now()) / 1000));
  return (
    <li className="card">
      <h3>{fileName}</h3>
      <progress aria-label={`Upload of ${fileName}`} max={sizeBytes} value={committedBytes} />
      <p className="soft">
        {percentText(committedBytes, sizeBytes)} of {sizeText(sizeBytes)} · kept for another {left}
      </p>
      {problem && (
        <p role="alert" className="problem">
          {problem}
        </p>
      )}
      <p className="buttons">
        {handle && (
          <Quiet what="Go on" of={fileName} onClick={() => void goOn(handle)}>
            Go on
          </Quiet>
        )}
        <FileButton
          label="Choose the same file to go on"
          describes={fileName}
          onFiles={([file]) => file && props.onFile(file)}
        />
        <Quiet what="Give up" of={fileName} onClick={() => void cancel()}>
          Give up
        </Quiet>
      </p>
    </li>
  );
}

show(
  <Page>
    <h1>Upload</h1>
    <Upload />
  </Page>,
);
