import { type FormEvent, type KeyboardEvent, useEffect, useId, useRef, useState } from 'react';
import { useSuggestions } from '../../client/src/react/discovery.js';
import { everybody } from './everybody.js';
import { counted } from './people.js';
import { addressOf, wantedOf } from './search-choice.js';

/** Of a query: the server takes no more. */
const MOST_CHARACTERS = 200;

/**
 * A combobox with a list, after the pattern of the ARIA Authoring Practices: the focus stays in the field, arrows go through the
 * list and around its ends, and the field shows what would be searched for. It is a form, so what stands there is sent without more.
 */
export function SearchBox() {
  const [typed, setTyped] = useState(() => here().query);
  const [isWanted, setWanted] = useState(false);
  /** The text and not its place: suggestions may come that stand otherwise. */
  const [chosen, setChosen] = useState<string | null>(null);
  const suggestions = useSuggestions(everybody, isWanted ? typed : '');
  const field = useRef<HTMLInputElement>(null);
  const list = useId();
  const isOpen = isWanted && suggestions.length > 0;
  const active = isOpen && chosen !== null ? suggestions.indexOf(chosen) : -1;
  const shown = chosen ?? typed;
  const option = (index: number) => `${list}-${index}`;

  useEffect(() => {
    const toField = (event: globalThis.KeyboardEvent) => {
      if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
      if (event.target instanceof Element && event.target.closest('input, textarea, select, [contenteditable]')) return;
      event.preventDefault();
      field.current?.focus();
      field.current?.select();
    };
    document.addEventListener('keydown', toField);
    return () => document.removeEventListener('keydown', toField);
  }, []);

  useEffect(() => {
    const back = () => {
      setTyped(here().query);
      setChosen(null);
      setWanted(false);
    };
    // A page that was kept as it was left has what was typed to leave it.
    const again = ({ persisted }: PageTransitionEvent) => persisted && back();
    window.addEventListener('popstate', back);
    window.addEventListener('pageshow', again);
    return () => {
      window.removeEventListener('popstate', back);
      window.removeEventListener('pageshow', again);
    };
  }, []);

  const close = () => {
    setWanted(false);
    setChosen(null);
  };
  /** The field keeps what it shows: its button sends that. */
  const leave = () => {
    setTyped(shown);
    close();
  };
  const type = (text: string) => {
    setTyped(text);
    setChosen(null);
    setWanted(true);
  };
  const press = (event: KeyboardEvent<HTMLInputElement>) => {
    if (event.nativeEvent.isComposing) return;
    if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      event.preventDefault();
      if (!isOpen) return setWanted(true);
      // The field itself, -1, is one of the places.
      const places = suggestions.length + 1;
      const step = event.key === 'ArrowDown' ? 1 : -1;
      setChosen(suggestions[((active + 1 + step + places) % places) - 1] ?? null);
    } else if (event.key === 'Escape') {
      event.preventDefault();
      if (!isOpen) setTyped('');
      close();
    }
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (shown.trim() === '') field.current?.focus();
    else search(shown);
  };

  return (
    <search className="search">
      <form action="/search" onSubmit={submit}>
        <input
          type="search"
          name="q"
          ref={field}
          value={shown}
          maxLength={MOST_CHARACTERS}
          placeholder="Search"
          autoComplete="off"
          autoCapitalize="none"
          spellCheck={false}
          enterKeyHint="search"
          role="combobox"
          aria-label="Search videos"
          aria-autocomplete="list"
          aria-expanded={isOpen}
          aria-controls={list}
          aria-activedescendant={active >= 0 ? option(active) : undefined}
          aria-keyshortcuts="/"
          onChange={(event) => type(event.currentTarget.value)}
          onKeyDown={press}
          onBlur={leave}
        />
        <button type="submit" aria-label="Search">
          <svg viewBox="0 0 24 24" width="20" height="20" aria-hidden="true">
            <path d="M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13Zm4.7 11.2L21 21" />
          </svg>
        </button>
        <div id={list} role="listbox" aria-label="Suggestions" className="suggestions" hidden={!isOpen}>
          {suggestions.map((suggestion, index) => (
            // biome-ignore lint/a11y/useFocusableInteractive: the focus stays in the field, which names the active option
            // biome-ignore lint/a11y/useKeyWithClickEvents: the keys are those of the field
            <div
              key={suggestion}
              id={option(index)}
              role="option"
              aria-selected={index === active}
              dir="auto"
              // The field would lose the focus, and with it the list.
              onMouseDown={(event) => event.preventDefault()}
              onClick={() => search(suggestion)}
            >
              {suggestion}
            </div>
          ))}
        </div>
      </form>
      <span role="status" className="unseen">
        {isOpen && `${counted(suggestions.length, 'suggestion')}, by the arrow keys`}
      </span>
    </search>
  );
}

/** What this page is the answer to. */
const here = () => wantedOf(window.location.pathname === '/search' ? window.location.search : '');

/** With the filters that stand there. */
const search = (query: string) => window.location.assign(addressOf({ ...here(), query }));

export const searchPath = (query: string) => addressOf({ ...wantedOf(''), query });
