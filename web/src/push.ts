import { kept } from './kept.js';
import { request, type UserError } from './session.js';

/** Who wants to be told in this browser: others who sign in here are asked anew. */
const WHOSE = 'sluice.pushFor';

/** `off`: can be asked for. `denied`: only the browser's own settings change that. `none`: not in this browser. */
export type PushState = 'none' | 'off' | 'on' | 'denied';

/** Asks nobody for a permission. */
export async function pushState(viewerId: string): Promise<PushState> {
  if (!('serviceWorker' in navigator && 'PushManager' in window && 'Notification' in window)) return 'none';
  if (Notification.permission === 'denied') return 'denied';
  if (Notification.permission === 'default' || kept.get(WHOSE) !== viewerId) return 'off';
  // Once more: the server forgets with the login session that told it.
  return tell(viewerId);
}

/** To be called for a click alone: browsers ask their user now. @throws Error with a sentence */
export async function turnOnPush(viewerId: string): Promise<PushState> {
  const permission = await Notification.requestPermission();
  if (permission === 'granted') return tell(viewerId);
  return permission === 'denied' ? 'denied' : 'off';
}

async function tell(viewerId: string): Promise<'on'> {
  const { pushPublicKey: applicationServerKey } = await request<{ pushPublicKey: string }>('{ pushPublicKey }');
  await navigator.serviceWorker.register('/push-worker.js');
  const { pushManager } = await navigator.serviceWorker.ready;
  const { endpoint, keys } = (await pushManager.subscribe({ userVisibleOnly: true, applicationServerKey })).toJSON();
  const { answer } = await request<{ answer: { userErrors: UserError[] } }>(
    `mutation ($input: RegisterPushSubscriptionInput!) {
      answer: registerPushSubscription(input: $input) { userErrors { code message field } } }`,
    { input: { endpoint, p256dh: keys?.p256dh, auth: keys?.auth } },
  );
  const [error] = answer.userErrors;
  if (error) throw new Error(error.message);
  kept.set(WHOSE, viewerId);
  return 'on';
}
