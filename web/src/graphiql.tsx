import { GraphiQL } from 'graphiql';
import 'graphiql/setup-workers/vite';
import 'graphiql/style.css';
import readme from '../../README.md?raw';
import { examplesOf, fillIn } from './examples.js';
import { type GraphQLAnswer, openSocket, post } from './graphql.js';
import { kept } from './kept.js';
import { show } from './page.js';
import { authorization } from './session.js';

type Fetcher = Parameters<typeof GraphiQL>[0]['fetcher'];
type Answers = ReturnType<Fetcher>;

/** What earlier tabs answered, by root field: later tabs' placeholders are filled from it. */
const answers: Record<string, unknown> = {};

// The tabs are the README's examples, one each, in its order. Accounts come first; all others act as whoever signed in last.
const AS_SIGNED_IN = JSON.stringify({ authorization: 'Bearer {{session.accessToken}}' }, null, 2);
const tabs = examplesOf(readme).map(({ query, variables }) => ({ query, variables, headers: AS_SIGNED_IN }));

// GraphiQL fills the editors of the first tab from these instead; tabs that it kept from an earlier visit win.
const first = kept.get('graphiql:tabState') === null ? tabs[0] : undefined;

const fetcher: Fetcher = (params, options) => execute(params, options) as Answers;

async function execute(
  { query, variables, operationName }: Parameters<Fetcher>[0],
  options: Parameters<Fetcher>[1],
): Promise<GraphQLAnswer | AsyncIterable<GraphQLAnswer>> {
  const operation = { query, operationName, variables: fillIn(variables, answers) as Record<string, unknown> };
  const headers = await headersOf(options?.headers);
  const kind = options?.documentAST?.definitions.find(
    (node) => node.kind === 'OperationDefinition' && (!operationName || node.name?.value === operationName),
  );
  if (kind?.kind === 'OperationDefinition' && kind.operation === 'subscription') {
    return openSocket(async () => headers).iterate(operation) as AsyncIterable<GraphQLAnswer>;
  }
  const answer = await post(operation, headers);
  remember(answer);
  return answer;
}

/** The headers of the tab. A placeholder that nobody signed in for is left out, or filled from this browser's session. */
async function headersOf(given: Record<string, unknown> | undefined): Promise<Record<string, string>> {
  const filled = fillIn(given ?? {}, answers) as Record<string, string>;
  const known = Object.fromEntries(Object.entries(filled).filter(([, value]) => !value.includes('{{')));
  return Object.keys(filled).length > Object.keys(known).length ? { ...(await authorization()), ...known } : known;
}

function remember(answer: GraphQLAnswer): void {
  Object.assign(answers, answer.data);
  for (const payload of Object.values(answer.data ?? {})) {
    const session = (payload as { session?: { accessToken?: string } } | null)?.session;
    if (session?.accessToken) answers.session = session;
  }
}

show(
  <div className="explorer">
    <GraphiQL
      fetcher={fetcher}
      defaultTabs={tabs}
      defaultHeaders={AS_SIGNED_IN}
      initialVariables={first?.variables}
      initialHeaders={first?.headers}
      defaultEditorToolsVisibility="variables"
    >
      <GraphiQL.Logo>
        <a className="brand" href="/">
          Sluice
        </a>
      </GraphiQL.Logo>
    </GraphiQL>
  </div>,
);
