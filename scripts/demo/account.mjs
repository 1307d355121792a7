import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { ApiError, SESSION } from './api.mjs';

/**
 * Signs the demo's user in, or up the first time. What it signs in with is kept in `file`, readable by its owner alone,
 * so that the next run finds its videos.
 * @returns the id of its channel
 */
export async function signIn(api, file) {
  const kept = existsSync(file) ? JSON.parse(await readFile(file, 'utf8')) : null;
  if (kept) {
    try {
      api.signIn((await api.mutate('login', 'LoginInput', kept, SESSION)).session);
      return await channelOf(api);
    } catch (error) {
      // Another database than the one that the account was made in.
      if (!(error instanceof ApiError) || !/CREDENTIALS/.test(error.code)) throw error;
    }
  }
  const name = `demo-${randomBytes(4).toString('hex')}`;
  const account = { email: `${name}@example.org`, password: randomBytes(24).toString('base64url') };
  await writeFile(file, JSON.stringify(account), { mode: 0o600, flush: true });
  const input = { ...account, displayName: 'Demo' };
  api.signIn((await api.mutate('register', 'RegisterInput', input, SESSION)).session);
  return channelOf(api, name);
}

async function channelOf(api, handle = `demo-${randomBytes(4).toString('hex')}`) {
  const { viewer } = await api.call('{ viewer { channels(first: 1) { nodes { id } } } }');
  const [channel] = viewer.channels.nodes;
  if (channel) return channel.id;
  const input = { handle, name: 'Demo' };
  return (await api.mutate('createChannel', 'CreateChannelInput', input, 'channel { id }')).channel.id;
}
