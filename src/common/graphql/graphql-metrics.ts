import { type DocumentNode, Kind, type OperationDefinitionNode, type SelectionSetNode } from 'graphql';
import { counter, gauge, histogram } from '../metrics/index.js';

const duration = histogram(
  'sluice_graphql_operation_duration_seconds',
  'Queries and mutations that ran, by their root field; `several` where they have more than one',
  [0.005, 0.02, 0.1, 0.5, 2, 10],
  ['type', 'field'],
);
export const graphqlErrors = counter(
  'sluice_graphql_errors_total',
  'Top-level errors that were answered, on every transport',
  { code: ['INTERNAL', 'UNAUTHENTICATED', 'FORBIDDEN', 'RATE_LIMITED', 'BAD_USER_INPUT', 'GRAPHQL_VALIDATION_FAILED'] },
);
export const userErrors = counter('sluice_graphql_user_errors_total', 'Failures that mutations answered as data', {
  code: [],
});
export const liveConnections = gauge('sluice_live_connections', 'Open WebSockets and event streams', {
  transport: ['websocket', 'sse'],
});
export const liveSubscriptions = gauge('sluice_live_subscriptions', 'Subscriptions under way, by their root field', {
  field: [],
});

/** Operations are parsed once and kept, so their root fields are looked up once. */
const known = new WeakMap<OperationDefinitionNode, { readonly type: string; readonly field: string }>();

/** @param document validated: then its root fields are the schema's, and no text of the client's becomes a label */
export function labelsOf(document: DocumentNode, operation: OperationDefinitionNode): { type: string; field: string } {
  let labels = known.get(operation);
  if (!labels) {
    const fields = rootFields(document, operation.selectionSet);
    const [only = 'none'] = fields;
    labels = { type: operation.operation, field: fields.size > 1 ? 'several' : only };
    known.set(operation, labels);
  }
  return labels;
}

/** @param startedAt on the monotonic clock */
export function countOperation(document: DocumentNode, operation: OperationDefinitionNode, startedAt: number): void {
  duration.observe(labelsOf(document, operation), (performance.now() - startedAt) / 1000);
}

function rootFields(document: DocumentNode, { selections }: SelectionSetNode, found = new Set<string>()): Set<string> {
  for (const selection of selections) {
    if (selection.kind === Kind.FIELD) found.add(selection.name.value);
    else if (selection.kind === Kind.INLINE_FRAGMENT) rootFields(document, selection.selectionSet, found);
    else {
      const fragment = document.definitions.find(
        (one) => one.kind === Kind.FRAGMENT_DEFINITION && one.name.value === selection.name.value,
      );
      if (fragment?.kind === Kind.FRAGMENT_DEFINITION) rootFields(document, fragment.selectionSet, found);
    }
  }
  return found;
}
