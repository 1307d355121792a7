import { type RefObject, useEffect, useMemo, useRef, useState } from 'react';
import type { ChannelCardFragment, TextPart } from '../../client/src/api/index.js';
import { useChannelSearch, useSearch } from '../../client/src/react/discovery.js';
import { Bell } from './bell.js';
import { channelPath } from './cards.js';
import { Avatar } from './channel-head.js';
import { everybody } from './everybody.js';
import { Page, show } from './page.js';
import { counted } from './people.js';
import { addressOf, CHOICES, searchOf, type Wanted, wantedOf } from './search-choice.js';
import { VideoList } from './video-list.js';

const MOST_CHANNELS = 3;
/** Arrow keys on a select choose at each press: only where they stay is searched for. */
const REST_MS = 300;
const LABELS = { date: 'Published', length: 'Length', order: 'Order' } as const;

function Search() {
  const [wanted, setWanted] = useState(() => wantedOf(window.location.search));
  const { query } = wanted;
  useEffect(() => {
    const back = () => setWanted(wantedOf(window.location.search));
    window.addEventListener('popstate', back);
    return () => window.removeEventListener('popstate', back);
  }, []);
  useEffect(() => {
    document.title = query.trim() === '' ? 'Search · Sluice' : `${query} · Sluice`;
  }, [query]);
  const filters = useRef<HTMLFieldSetElement>(null);
  const choose = (change: Partial<Wanted>) => {
    const next = { ...wanted, ...change };
    // No step of its own on the way back, for the same reason.
    window.history.replaceState(null, '', addressOf(next));
    setWanted(next);
  };

  const clear = () => {
    choose({ date: '', length: '' });
    // The button goes with the filters.
    filters.current?.querySelector('select')?.focus();
  };

  if (query.trim() === '') {
    return (
      <>
        <h1>Search</h1>
        <p className="lead">Write above what you look for: words of a title, a tag, a channel.</p>
      </>
    );
  }
  return (
    <>
      <h1>
        Results for <bdi>{query}</bdi>
      </h1>
      <Filters wanted={wanted} onChoose={choose} place={filters} />
      <Channels query={query} />
      <Results wanted={wanted} onClear={clear} />
    </>
  );
}

function Filters(props: {
  wanted: Wanted;
  onChoose: (change: Partial<Wanted>) => void;
  place: RefObject<HTMLFieldSetElement | null>;
}) {
  const { wanted, onChoose, place } = props;
  return (
    <fieldset className="filters" ref={place}>
      <legend className="unseen">Filters</legend>
      {(['date', 'length', 'order'] as const).map((name) => (
        <label key={name} className="field">
          <span>{LABELS[name]}</span>
          <select value={wanted[name]} onChange={(event) => onChoose({ [name]: event.currentTarget.value })}>
            {CHOICES[name].map(([value, text]) => (
              <option key={value} value={value}>
                {text}
              </option>
            ))}
          </select>
        </label>
      ))}
    </fieldset>
  );
}

/** What is not there, or does not come, leaves the videos to themselves. */
function Channels({ query }: { query: string }) {
  const { channels } = useChannelSearch(everybody, { query, pageSize: MOST_CHANNELS });
  if (channels.length === 0) return null;
  return (
    <section aria-label="Channels">
      <ul className="channels">
        {channels.slice(0, MOST_CHANNELS).map((channel) => (
          <ChannelResult key={channel.id} channel={channel} />
        ))}
      </ul>
    </section>
  );
}

function ChannelResult({ channel }: { channel: ChannelCardFragment }) {
  const { handle, name, avatarUrl, subscriberCount, videoCount } = channel;
  return (
    <li className="line">
      <Avatar name={name} url={avatarUrl ?? null} />
      <p>
        <a href={channelPath(handle)}>
          <bdi>{name}</bdi>
        </a>{' '}
        <span className="soft">@{handle}</span>
        <br />
        <span className="soft">
          {counted(subscriberCount, 'follower')} · {counted(videoCount, 'video')}
        </span>
      </p>
    </li>
  );
}

function Results({ wanted, onClear }: { wanted: Wanted; onClear: () => void }) {
  const search = useMemo(() => searchOf(wanted, Date.now()), [wanted]);
  const found = useSearch(everybody, { ...search, restMs: REST_MS });
  const { results, state, totalCount, correctedQuery } = found;
  const byId = new Map(results.map((result) => [result.id, result]));
  const isDone = state === 'ready';
  const isFiltered = wanted.date !== '' || wanted.length !== '';
  // A word in quotes is that word, and no other.
  const exact = (wanted.query.match(/[^\s"“”„«»]+/g) ?? []).map((word) => `"${word}"`).join(' ');
  return (
    <section aria-label="Videos">
      <h2 className="unseen">Videos</h2>
      {isDone && correctedQuery && (
        <p className="corrected">
          Showing results for{' '}
          <strong>
            <bdi>{correctedQuery}</bdi>
          </strong>
          . Search instead for{' '}
          <a href={addressOf({ ...wanted, query: exact })}>
            <bdi>{wanted.query}</bdi>
          </a>
          .
        </p>
      )}
      <p role="status" className="soft">
        {isDone && results.length > 0 && totalCount !== null && counted(totalCount, 'video')}
        {isDone && results.length === 0 && 'No videos found.'}
        {state === 'loading' && 'Searching …'}
      </p>
      <VideoList
        label="Results"
        layout="rows"
        videos={results.map(({ video }) => video)}
        paged={found}
        isEndless
        empty={
          <>
            <p>Try other words, or fewer of them.</p>
            {isFiltered && (
              <button type="button" className="quiet" onClick={onClear}>
                Take the filters away
              </button>
            )}
          </>
        }
        card={({ id }) => {
          const result = byId.get(id);
          return {
            title: result && <Marked parts={result.title} />,
            children: result?.excerpt && (
              <p className="excerpt" dir="auto">
                <Marked parts={result.excerpt} />
              </p>
            ),
          };
        }}
      />
    </section>
  );
}

/** As text: nothing that somebody wrote becomes markup. */
function Marked({ parts }: { parts: readonly TextPart[] }) {
  return parts.map(({ text, marked }, index) => {
    // biome-ignore lint/suspicious/noArrayIndexKey: parts stay where they are
    return marked ? <mark key={index}>{text}</mark> : <span key={index}>{text}</span>;
  });
}

show(
  <Page width="wide" bell={<Bell />}>
    <Search />
  </Page>,
);
