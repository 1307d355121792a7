export interface GraphqlAnswer<Data> {
  readonly data: Data;
  readonly errors?: readonly { message: string; extensions: { code: string } & Record<string, unknown> }[];
}

/** Sends one operation over HTTP; whatever the server answers is returned as it is. */
export async function graphql<Data = Record<string, unknown>>(
  url: string,
  query: string,
  variables: Record<string, unknown> = {},
  accessToken?: string,
  signal?: AbortSignal,
): Promise<GraphqlAnswer<Data>> {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(accessToken ? { authorization: `Bearer ${accessToken}` } : {}),
    },
    body: JSON.stringify({ query, variables }),
    ...(signal && { signal }),
  });
  return (await response.json()) as GraphqlAnswer<Data>;
}
