import { useCallback, useEffect, useRef, useState } from 'react';
import { EMAIL, Form, PASSWORD } from './page.js';
import { signIn } from './session.js';

interface Asking {
  /** So often a button asked who is there. */
  readonly times: number;
  /** That button. */
  readonly asker: Element | null;
}

/** What is open to those alone who are signed in asks for it where it is pressed. */
export function useAsking(): { asking: Asking; askWho: () => void } {
  const [asking, setAsking] = useState<Asking>({ times: 0, asker: null });
  const askWho = useCallback(() => setAsking(({ times }) => ({ times: times + 1, asker: document.activeElement })), []);
  return { asking, askWho };
}

/** Nothing until it is asked for: then the keyboard goes there, and at the end back to the button. */
export function SignIn({ asking }: { asking: Asking }) {
  const { times, asker } = asking;
  const place = useRef<HTMLDivElement>(null);
  const back = useRef(asker);
  useEffect(() => {
    back.current = asker;
    if (times > 0) place.current?.querySelector('input')?.focus();
  }, [times, asker]);
  useEffect(
    () => () => {
      if (back.current instanceof HTMLElement) back.current.focus();
    },
    [],
  );
  if (times === 0) return null;
  return (
    <div ref={place}>
      <Form
        title="Sign in"
        action="Sign in"
        fields={[EMAIL, PASSWORD]}
        onSubmit={(values) => signIn(values.email ?? '', values.password ?? '')}
        more={<a href="/account">Create an account</a>}
      />
    </div>
  );
}
