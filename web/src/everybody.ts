import { Api, type Operation } from '../../client/src/api/index.js';
import { accessToken, session } from './session.js';

const member = new Api({ token: accessToken });

/**
 * Asks what everybody is answered alike, as a stranger or as who is signed in: strangers behind one address share what it may ask,
 * and who is signed in has a share of their own.
 */
class Everybody extends Api {
  override async request<Data, Variables>(
    operation: Operation<Data, Variables>,
    variables: Variables,
    signal?: AbortSignal,
  ): Promise<Data> {
    // Who cannot be known now is a stranger: where the server is away, that asking tells it too.
    const known = await session().catch(() => null);
    return known ? member.request(operation, variables, signal) : super.request(operation, variables, signal);
  }
}

export const everybody: Api = new Everybody();
