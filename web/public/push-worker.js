/* The service worker that shows pushes, and does nothing else: it serves no page and keeps no copy. */

/** As the page's list says it. A name that is not the recipient's to see is left out of the push. */
const SENTENCES = {
  NEW_VIDEO: ({ channel, title }) => `${channel ?? 'A channel'} published ${title ?? 'a video'}`,
  UPLOAD_FINISHED: ({ title }) => `${title ?? 'A video of yours'} is ready`,
  UPLOAD_FAILED: ({ title }) => `${title ?? 'A video of yours'} could not be processed`,
  COMMENT: ({ actor, title }) => `${actor ?? 'Somebody'} commented on ${title ?? 'a video of yours'}`,
  REPLY: ({ actor }) => `${actor ?? 'Somebody'} replied to you`,
  NEW_FOLLOWER: ({ actor, channel }) => `${actor ?? 'Somebody'} follows ${channel ?? 'your channel'}`,
};

/** Whatever comes, something has to be shown: browsers take the permission back from who stays silent. */
function messageOf(data) {
  try {
    return data?.json() ?? {};
  } catch {
    return {};
  }
}

self.addEventListener('push', (event) => {
  const message = messageOf(event.data);
  const title = SENTENCES[message.kind]?.(message) ?? 'Something new';
  const { text: body, tag, url } = message;
  event.waitUntil(self.registration.showNotification(title, { body, tag, data: { url } }));
});

self.addEventListener('notificationclick', (event) => {
  event.notification.close();
  const url = new URL(event.notification.data?.url ?? '/', self.location.origin);
  // Its own pages alone.
  event.waitUntil(self.clients.openWindow(url.origin === self.location.origin ? url.href : '/'));
});
