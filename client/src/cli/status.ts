import { durationText, percentText, sizeText } from '../units.js';
import { ask } from './api.js';
import { noMore, parse } from './args.js';
import { accessToken, endpointOf } from './logins.js';
import { EXIT, jsonLine, plain } from './problem.js';

export const STATUS_HELP = `npx sluice status [--endpoint URL] [--json]

Lists your unfinished uploads, newest first, from whatever device they were begun. Each goes on where it is when the same
file is uploaded again.

  --endpoint URL    the server; without it, where you were signed in last
  --json            one line of JSON for each: sessionId, videoId, fileName, sizeBytes, committedBytes, pausedAt, expiresAt,
                    channel
  --help            this
`;

interface Unfinished {
  id: string;
  fileName: string;
  sizeBytes: number;
  committedBytes: number;
  pausedAt: string | null;
  expiresAt: string;
  video: { id: string; channel: { handle: string } };
}
const QUERY = `{ viewer { uploadSessions(state: OPEN, first: 100) { pageInfo { hasNextPage } nodes {
  id fileName sizeBytes committedBytes pausedAt expiresAt video { id channel { handle } } } } } }`;

export async function status(args: string[]): Promise<number> {
  const { values, positionals } = parse(args, { endpoint: { type: 'string' }, json: { type: 'boolean' } });
  noMore(positionals);
  const endpoint = await endpointOf(values.endpoint);
  const { viewer } = await ask<{
    viewer: { uploadSessions: { nodes: Unfinished[]; pageInfo: { hasNextPage: boolean } } };
  }>(endpoint, QUERY, {}, await accessToken(endpoint));
  const { nodes, pageInfo } = viewer.uploadSessions;
  for (const { id, video, ...upload } of nodes) {
    const { channel } = video;
    const line = values.json
      ? jsonLine({ sessionId: id, videoId: video.id, ...upload, channel: channel.handle })
      : `${plain(describe(upload, channel.handle))}\n`;
    process.stdout.write(line);
  }
  if (values.json) return EXIT.done;
  if (pageInfo.hasNextPage) process.stdout.write('… and more: these are the newest 100.\n');
  process.stdout.write(
    nodes.length === 0
      ? 'No unfinished uploads.\n'
      : 'To go on: npx sluice upload FILE --channel HANDLE, with the same file.\n',
  );
  return EXIT.done;
}

function describe(upload: Omit<Unfinished, 'id' | 'video'>, handle: string): string {
  const { fileName, sizeBytes, committedBytes, pausedAt, expiresAt } = upload;
  const left = durationText(Math.max(0, (Date.parse(expiresAt) - Date.now()) / 1000));
  const share = percentText(committedBytes, sizeBytes).padStart(5);
  return `${share} of ${sizeText(sizeBytes).padEnd(9)} ${fileName} (@${handle}; ${pausedAt ? 'paused; ' : ''}expires in ${left})`;
}
