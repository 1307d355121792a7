import { useState } from 'react';
import { DISPLAY_NAME, EMAIL, Form, NEW_PASSWORD, Notice, Page, show } from './page.js';
import { setUp } from './session.js';

// The token came in the fragment, which browsers send nowhere; it need not stay in the history either.
const token = new URLSearchParams(window.location.hash.slice(1)).get('token');
window.history.replaceState(null, '', window.location.pathname);

function Setup() {
  const [name, setName] = useState<string | null>(null);
  if (name !== null) {
    return (
      <Notice title={`Welcome, ${name}`}>
        <p>You are the administrator, and signed in.</p>
        <p>
          <a href="/">Go to the start page</a>
        </p>
      </Notice>
    );
  }
  if (!token) {
    return (
      <Notice title="The link is incomplete">
        <p>The first start of Sluice prints a link that ends in “#token=…”. Open it as it stands there.</p>
      </Notice>
    );
  }
  let displayName = '';
  return (
    <>
      <h1>Set up Sluice</h1>
      <p>This makes the administrator of this installation. The link works once.</p>
      <Form
        title="Administrator"
        action="Create the administrator"
        fields={[DISPLAY_NAME, EMAIL, NEW_PASSWORD]}
        onSubmit={(values) => {
          displayName = values.displayName ?? '';
          return setUp(token, values.email ?? '', values.password ?? '', displayName);
        }}
        onDone={() => setName(displayName)}
      />
    </>
  );
}

show(
  <Page>
    <Setup />
  </Page>,
);
