import { type FormEvent, type ReactNode, useState, useSyncExternalStore } from 'react';
import { createRoot } from 'react-dom/client';
import './style.css';
import { SearchBox } from './search-box.js';
import { onSession, seemsSignedIn, type UserError } from './session.js';

export function show(page: ReactNode): void {
  const root = document.getElementById('app');
  if (!root) throw new Error('the page has no #app');
  createRoot(root).render(page);
}

export function Page(props: { children: ReactNode; width?: 'wide' | 'full'; bell?: ReactNode }) {
  const isSignedIn = useSyncExternalStore(onSession, seemsSignedIn);
  return (
    <>
      <a className="skip" href="#content">
        Skip to the content
      </a>
      <header>
        <a className="brand" href="/">
          Sluice
        </a>
        <SearchBox />
        <nav aria-label="Site">
          <a href="/upload">Upload</a> <a href="/graphql">GraphiQL</a>{' '}
          <a href="/account">{isSignedIn ? 'Account' : 'Sign in'}</a>
        </nav>
        {props.bell}
      </header>
      <main id="content" tabIndex={-1} className={props.width}>
        {props.children}
      </main>
    </>
  );
}

interface FieldSpec {
  name: string;
  label: string;
  type?: string;
  autoComplete: string;
  minLength?: number;
}
export const EMAIL: FieldSpec = { name: 'email', label: 'E-mail', type: 'email', autoComplete: 'username' };
export const PASSWORD: FieldSpec = {
  name: 'password',
  label: 'Password',
  type: 'password',
  autoComplete: 'current-password',
};
export const NEW_PASSWORD: FieldSpec = { ...PASSWORD, autoComplete: 'new-password', minLength: 10 };
export const DISPLAY_NAME: FieldSpec = { name: 'displayName', label: 'Your name', autoComplete: 'name' };

/** A form that sends its fields once at a time and shows what was refused. */
export function Form(props: {
  title: string;
  action: string;
  fields: readonly FieldSpec[];
  onSubmit: (values: Record<string, string>) => Promise<UserError[]>;
  /** Not for who signs in: the session tells of that. */
  onDone?: () => void;
  /** Below the button. */
  more?: ReactNode;
}) {
  const [problem, setProblem] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);

  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const values = Object.fromEntries(
      [...new FormData(event.currentTarget)].map(([name, value]) => [name, String(value)]),
    );
    setBusy(true);
    setProblem(null);
    try {
      const errors = await props.onSubmit(values);
      if (errors.length === 0) return props.onDone?.();
      setProblem(errors.map((error) => error.message).join(' '));
    } catch (error) {
      setProblem(messageOf(error));
    } finally {
      setBusy(false);
    }
  };

  return (
    <form className="card" onSubmit={submit} aria-label={props.title}>
      <h2>{props.title}</h2>
      {props.fields.map(({ label, ...field }) => (
        <label key={field.name}>
          {label}
          <input required {...field} type={field.type ?? 'text'} />
        </label>
      ))}
      <p role="alert" className="problem">
        {problem}
      </p>
      <button type="submit" disabled={busy}>
        {props.action}
      </button>
      {props.more && <p>{props.more}</p>}
    </form>
  );
}

export function Notice(props: { title: string; children?: ReactNode }) {
  return (
    <section className="card">
      <h1>{props.title}</h1>
      {props.children}
    </section>
  );
}

/** What was refused; nothing otherwise. */
export function Problem({ text }: { text: string | null }) {
  if (text === null) return null;
  return (
    <p role="alert" className="problem">
      {text}
    </p>
  );
}

/** What went wrong, and the way to try it once more. */
export function Retry(props: { problem: string; onRetry: () => void }) {
  return (
    <div className="retry">
      <Problem text={props.problem} />
      <button type="button" className="quiet" onClick={props.onRetry}>
        Try again
      </button>
    </div>
  );
}

/** One deed at a time, and what was refused of the last one. */
export function useDeed(): { isBusy: boolean; problem: string | null; act(deed: () => Promise<void>): void } {
  const [isBusy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const act = (deed: () => Promise<void>) => {
    if (isBusy) return;
    setBusy(true);
    setProblem(null);
    deed()
      .catch((error) => setProblem(messageOf(error)))
      .finally(() => setBusy(false));
  };
  return { isBusy, problem, act };
}

/** The next page of a list. */
export function More(props: { text: string; load: () => Promise<void> }) {
  const { isBusy, problem, act } = useDeed();
  return (
    <div className="more">
      <button type="button" className="quiet" aria-busy={isBusy} onClick={() => act(props.load)}>
        {props.text}
      </button>
      <Problem text={problem} />
    </div>
  );
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
