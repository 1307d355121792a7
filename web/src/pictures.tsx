import { useRef, useState } from 'react';
import { Problem, useDeed } from './page.js';
import { authorization } from './session.js';

const ACCEPT = 'image/jpeg,image/png,image/gif,image/webp';
const WORDS = { avatar: 'an avatar', banner: 'a banner' } as const;

/** What a channel shows of itself. Each picture is sent, or taken away, at once. */
export function Pictures(props: {
  channel: { id: string; avatarUrl: string | null; bannerUrl: string | null };
  onChange: () => Promise<void>;
}) {
  const { channel, onChange } = props;
  return (
    <details className="pictures">
      <summary>Pictures</summary>
      <Picture channelId={channel.id} kind="avatar" url={channel.avatarUrl} onChange={onChange} />
      <Picture channelId={channel.id} kind="banner" url={channel.bannerUrl} onChange={onChange} />
      <p className="soft">
        JPEG, PNG, GIF or WebP, at most 5 MiB. The middle is shown: a square, and a strip of 4 to 1.
      </p>
    </details>
  );
}

function Picture(props: {
  channelId: string;
  kind: keyof typeof WORDS;
  url: string | null;
  onChange: () => Promise<void>;
}) {
  const { channelId, kind, url, onChange } = props;
  const { isBusy, problem, act } = useDeed();
  const [said, setSaid] = useState('');
  const input = useRef<HTMLInputElement>(null);

  const send = (body: File | null) =>
    act(async () => {
      setSaid(body ? 'Being sent …' : '');
      try {
        const path = `/images/channels/${encodeURIComponent(channelId)}/${kind}`;
        const response = await fetch(path, { method: body ? 'PUT' : 'DELETE', headers: await authorization(), body });
        if (!response.ok) throw new Error(await refusalIn(response));
        setSaid(response.status === 202 ? 'It is shown as soon as it is made.' : body ? 'Shown.' : 'Removed.');
        await onChange();
      } catch (error) {
        setSaid('');
        throw error;
      }
    });
  const remove = () => {
    send(null);
    // The button goes with the picture.
    input.current?.focus();
  };

  return (
    <div className="line">
      {url && <img className={kind} src={url} alt="" />}
      <div className="buttons">
        <label className="choose">
          Choose {WORDS[kind]}
          <input
            type="file"
            ref={input}
            accept={ACCEPT}
            aria-busy={isBusy}
            onChange={(event) => {
              const [file] = event.target.files ?? [];
              // The same file may be chosen once more.
              if (file) send(file);
              event.target.value = '';
            }}
          />
        </label>
        {url && (
          <button type="button" className="quiet" onClick={remove}>
            Remove the {kind}
          </button>
        )}
      </div>
      <span role="status" className="soft">
        {said}
      </span>
      <Problem text={problem} />
    </div>
  );
}

/** Who stands before the server may answer otherwise. */
async function refusalIn(response: Response): Promise<string> {
  const { message } = await response.json().catch(() => ({ message: null }));
  return message ?? `The server answers ${response.status}. Try again.`;
}
