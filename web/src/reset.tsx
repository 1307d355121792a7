import { useState } from 'react';
import { EMAIL, Form, NEW_PASSWORD, Notice, Page, show } from './page.js';
import { requestPasswordReset, resetPassword } from './session.js';

// The token came in the fragment, which browsers send nowhere; it need not stay in the history either.
const token = new URLSearchParams(window.location.hash.slice(1)).get('token');
window.history.replaceState(null, '', window.location.pathname);

function Reset() {
  const [done, setDone] = useState(false);
  if (token) {
    if (done) {
      return (
        <Notice title="The new password is set">
          <p>
            You were signed out everywhere. <a href="/account">Sign in</a>
          </p>
        </Notice>
      );
    }
    return (
      <>
        <h1>Set a new password</h1>
        <Form
          title="New password"
          action="Set the password"
          fields={[{ ...NEW_PASSWORD, label: 'New password' }]}
          onSubmit={(values) => resetPassword(token, values.password ?? '')}
          onDone={() => setDone(true)}
        />
      </>
    );
  }
  if (done) {
    return (
      <Notice title="Look into your mail">
        <p>If there is an account with this address, a link is on its way. It works once, for an hour.</p>
      </Notice>
    );
  }
  return (
    <>
      <h1>Forgot the password?</h1>
      <Form
        title="Your account"
        action="Send a link"
        fields={[EMAIL]}
        onSubmit={(values) => requestPasswordReset(values.email ?? '')}
        onDone={() => setDone(true)}
      />
    </>
  );
}

show(
  <Page>
    <Reset />
  </Page>,
);
