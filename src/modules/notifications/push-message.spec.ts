import { randomUUID } from 'node:crypto';
import { MOST_BYTES, messageOf, topicOf } from './push-message.js';

const subject = {
  cause: randomUUID(),
  kind: 'COMMENT' as const,
  channelId: randomUUID(),
  videoId: randomUUID(),
  commentId: randomUUID(),
  actorId: randomUUID(),
};

it.each(['😀', '\ud800', '"', '\u0001'])('fits with a thousand of %j in all that people write', (character) => {
  const long = character.repeat(1_000);
  const shown = { title: long, channel: long, actor: long, text: long };
  const message = messageOf(subject, `https://${'a'.repeat(253)}`, shown);
  expect(Buffer.byteLength(message)).toBeLessThanOrEqual(MOST_BYTES);
  expect([...JSON.parse(message).title]).toHaveLength(100);
});

it('leads to the video, and says nothing where nothing may be seen', () => {
  expect(JSON.parse(messageOf(subject, 'https://v.example.org', { title: 'A film' }))).toEqual({
    tag: subject.cause,
    id: expect.any(String),
    kind: 'COMMENT',
    url: expect.stringMatching(/^https:\/\/v\.example\.org\/watch\/.+/),
    title: 'A film',
  });
  expect(JSON.parse(messageOf(subject, 'https://v.example.org', null))).toEqual({
    tag: subject.cause,
    id: expect.any(String),
    kind: 'COMMENT',
    url: 'https://v.example.org/',
  });
});

it('has a topic that push services take', () => {
  expect(topicOf(subject.cause)).toMatch(/^[\w-]{32}$/);
});
