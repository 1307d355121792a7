import { pipeline, Readable, Transform } from 'node:stream';
import { Controller, Get, Logger, type OnModuleDestroy, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { DomainError, Refusal } from '../../common/errors/index.js';
import { addressBlock } from '../../common/http/index.js';
import { Live } from '../../common/live/index.js';
import { counter } from '../../common/metrics/index.js';
import { Recent } from '../../common/recent/index.js';
import { OnDemandRungs, onDemandAsks, segmentTopic, TranscodingService } from '../transcoding/index.js';
import { attachment } from './attachment.js';
import { select } from './conditional.js';
import { dashManifest } from './dash.js';
import { keyPlaylist, masterPlaylist, mediaPlaylist } from './hls.js';
import { Holds } from './holds.js';
import { ABSENT, type MediaBytes, MediaLibrary, PLANNED } from './media-library.js';
import { type MediaResource, mediaResource } from './media-resource.js';
import { type OpenVideo, PlaybackService } from './playback.service.js';
import { listed, planned } from './presentation.js';
import { sendFile } from './send-file.js';
import { storyboardTrack } from './storyboard.js';

/** Players give a segment up after 10 s and then ask again (measured). */
const HOLD_MS = 8_000;
/** Ticks hasten, and may be lost. */
const POLL_MS = 500;
const HELD_OF_CLIENT = 32;
const HELD_OF_ALL = 256;
/** A client that takes nothing for so long is gone. */
const STALLED_MS = 60_000;
/** However many wait for a segment, its piece is moved up only so often. */
const HURRY_LIFE_MS = 2_000;

/** `private`: a cache that others share would go on after the video is closed. Our own edge asks before it serves. */
const IMMUTABLE = 'private, max-age=31536000, immutable';
const NOT_KEPT = 'private, no-store';
const GONE = new Error('The client is gone.');

const delivered = counter('sluice_media_bytes_total', 'Bytes that were sent to players, with the head of each answer', {
  kind: ['segment', 'init', 'still', 'master', 'playlist', 'keys', 'manifest', 'storyboard', 'download'],
});

interface MediaRequest {
  Params: { token: string; videoId: string; '*': string };
}

/**
 * `/media/{token}/{videoId}/…`: what players load. The token is the permission, so nobody signs in here. Whatever is not
 * to be watched, for any reason, is 404.
 */
@Controller('media')
export class MediaController implements OnModuleDestroy {
  private readonly logger = new Logger(MediaController.name);
  private readonly holds = new Holds(HELD_OF_CLIENT, HELD_OF_ALL);
  private readonly draining = new AbortController();
  private readonly hurried = new Recent(HURRY_LIFE_MS, (key) => this.hurry(key));

  constructor(
    private readonly playback: PlaybackService,
    private readonly library: MediaLibrary,
    private readonly live: Live,
    private readonly transcoding: TranscodingService,
    private readonly onDemand: OnDemandRungs,
  ) {}

  /** Whoever is held gets an answer at once and asks another process next. */
  onModuleDestroy(): void {
    this.draining.abort();
  }

  /** HEAD comes with GET. */
  @Get(':token/:videoId/*')
  async serve(@Req() request: FastifyRequest<MediaRequest>, @Res() reply: FastifyReply): Promise<void> {
    const { token, videoId, '*': path } = request.params;
    reply.header('cross-origin-resource-policy', 'cross-origin');

    const resource = mediaResource(path);
    const { socket } = reply.raw;
    const before = socket?.bytesWritten ?? 0;
    reply.raw.once('close', () => {
      if (resource && socket) delivered.inc({ kind: resource.kind }, Math.max(0, socket.bytesWritten - before));
    });
    const open = async () => {
      const video = await this.playback.open(token, videoId);
      return video && resource && (!('run' in resource) || resource.run === video.run) ? video : null;
    };
    const video = await open();
    if (!video || !resource) return this.notFound(reply);
    // Where an edge keeps segments it still comes for each manifest.
    if (['master', 'manifest', 'segment'].includes(resource.kind)) this.playback.noteWatched(videoId);

    switch (resource.kind) {
      case 'segment':
      case 'init': {
        // Whether it may be seen is asked again only after a wait.
        const find = async (first: boolean) => (first || (await open()) ? this.library.timed(videoId, resource) : null);
        const number = resource.kind === 'segment' ? resource.number : 1;
        const asked = `${videoId}/${resource.run}/${resource.rendition}/${number}`;
        const bytes = await this.held(find, asked, addressBlock(request.ip), reply);
        if (reply.raw.closed) return;
        if (bytes === ABSENT)
          await this.askFor({ videoId, run: video.run }, resource.rendition, addressBlock(request.ip));
        if (bytes === PLANNED || bytes === ABSENT) return this.later(reply);
        // A player asks for the init once, when it takes the rung up.
        const takesUp = resource.kind === 'init' && request.method === 'GET';
        if (bytes?.isOnDemand && takesUp) onDemandAsks.inc({ outcome: 'hit' });
        return bytes ? this.send(bytes, request, reply) : this.notFound(reply);
      }
      case 'still': {
        const bytes = await this.library.still(videoId, resource);
        return bytes ? this.send(bytes, request, reply) : this.notFound(reply);
      }
      case 'download': {
        const bytes = await this.library.download(videoId, resource.run);
        return bytes ? this.send(bytes, request, reply) : this.notFound(reply);
      }
      default: {
        const text = await this.text(resource, videoId, video);
        if (text === null) return this.notFound(reply);
        reply.header('cache-control', NOT_KEPT).type(CONTENT_TYPES[resource.kind]).send(text);
      }
    }
  }

  private async text(
    resource: Extract<MediaResource, { kind: keyof typeof CONTENT_TYPES }>,
    videoId: string,
    { run, durationMs }: OpenVideo,
  ): Promise<string | null> {
    if (resource.kind === 'storyboard') {
      const sheets = await this.library.storyboard(videoId, run);
      return sheets.length > 0 && durationMs !== null ? storyboardTrack(sheets, durationMs) : null;
    }
    const tracks = await this.library.recentTracks(videoId, run);
    if (resource.kind === 'playlist' || resource.kind === 'keys') {
      const track = tracks.find(({ address }) => address === resource.rendition);
      return track ? (resource.kind === 'keys' ? keyPlaylist(track) : mediaPlaylist(track)) : null;
    }
    const playing = resource.kind === 'manifest' && resource.planned ? planned(tracks) : listed(tracks);
    if (!playing) return null;
    return resource.kind === 'master' ? masterPlaylist(run, playing) : dashManifest(run, playing);
  }

  /** Whoever loads of a rung that waits to be asked for asks for it; they are not held, so that they play another one. */
  private async askFor(run: { videoId: string; run: number }, rendition: string, viewer: string): Promise<void> {
    try {
      await this.onDemand.ask(run, rendition, viewer);
    } catch (error) {
      if (!(error instanceof DomainError || error instanceof Refusal)) throw error;
      this.logger.debug(`${rendition} of video ${run.videoId} is not made: ${error.message}`);
    }
  }

  private async hurry(asked: string): Promise<void> {
    const [videoId = '', run, rendition = '', number] = asked.split('/');
    await this.transcoding.hurry({ videoId, run: Number(run), rendition, segmentNumber: Number(number) });
  }

  /**
   * Keeps the request for what is planned until it is made, for a while, and has it made earlier. Asks again whether it may
   * be seen, each time.
   *
   * @param asked the segment: `{videoId}/{run}/{rendition}/{number}`
   */
  private async held<T>(
    find: (first: boolean) => Promise<T | typeof PLANNED>,
    asked: string,
    client: string,
    reply: FastifyReply,
  ): Promise<T | typeof PLANNED> {
    const found = await find(true);
    if (found !== PLANNED) return found;
    const leave = this.holds.enter(client);
    if (!leave) return PLANNED;
    const done = new AbortController();
    const over = AbortSignal.any([goneOf(reply), this.draining.signal, done.signal]);
    const until = performance.now() + HOLD_MS;
    const topic = segmentTopic(asked.slice(0, asked.indexOf('/')));
    try {
      await this.hurried.get(asked);
      while (!over.aborted && performance.now() < until) {
        const wait = Math.min(POLL_MS, until - performance.now());
        const tick = this.live.waitFor(topic, wait, over);
        const found = await find(false);
        if (found !== PLANNED) return found;
        await tick;
      }
      return PLANNED;
    } finally {
      done.abort();
      leave();
    }
  }

  private async send(bytes: MediaBytes, request: FastifyRequest<MediaRequest>, reply: FastifyReply): Promise<void> {
    const selection = select(request.headers, bytes.etag, bytes.sizeBytes);
    const { status } = selection;
    reply.header('accept-ranges', 'bytes');
    if (status === 412) return void reply.code(status).header('cache-control', NOT_KEPT).send('');
    if (status === 416) {
      return void reply
        .code(status)
        .headers({ 'cache-control': NOT_KEPT, 'content-range': `bytes */${bytes.sizeBytes}` })
        .send('');
    }
    // A name can change; whoever saves a file keeps no second copy.
    const kept = bytes.fileName
      ? { etag: bytes.etag, 'cache-control': NOT_KEPT, 'content-disposition': attachment(bytes.fileName) }
      : { etag: bytes.etag, 'cache-control': IMMUTABLE };
    if (status === 304) return void reply.code(status).headers(kept).send('');

    const { start, end } = selection;
    // Fastify leaves the length that a GET would have as it is where an empty stream answers a HEAD. Bytes are asked for
    // before anything is said of them: where the store fails, so does the answer, and nobody keeps it.
    const wanted = request.method !== 'HEAD';
    const opened = wanted ? await bytes.open(start, end, () => goneOf(reply)) : undefined;
    if (opened === null) return this.notFound(reply);
    reply
      .code(status)
      .headers(kept)
      .type(bytes.contentType)
      .header('content-length', end - start);
    if (status === 206) reply.header('content-range', `bytes ${start}-${end - 1}/${bytes.sizeBytes}`);
    if (!opened) return void reply.send(Readable.from([]));
    reply.raw.setTimeout(STALLED_MS);
    const inPart = (error: Error) => this.logger.debug(`media sent in part: ${error.message}`);
    if (opened.from === 'stream') {
      return void reply.send(pipeline(opened.stream, exactly(end - start), (error) => void (error && inPart(error))));
    }
    // biome-ignore lint/suspicious/noExplicitAny: Fastify's headers and Node's differ in name only
    const response = reply.hijack().raw.writeHead(status, reply.getHeaders() as any);
    if (opened.from === 'file') return sendFile(opened.file, opened.start, opened.end, response).catch(inPart);
    const { bytes: body, giveBack } = opened;
    if (giveBack && response.closed) giveBack();
    else if (giveBack) response.once('close', giveBack);
    response.end(body);
  }

  private notFound(reply: FastifyReply): void {
    reply.code(404).header('cache-control', NOT_KEPT).type('text/plain').send('There is nothing here to watch.\n');
  }

  private later(reply: FastifyReply): void {
    reply.code(503).headers({ 'cache-control': NOT_KEPT, 'retry-after': '1' }).type('text/plain').send('Being made.\n');
  }
}

const CONTENT_TYPES = {
  master: 'application/vnd.apple.mpegurl',
  playlist: 'application/vnd.apple.mpegurl',
  keys: 'application/vnd.apple.mpegurl',
  manifest: 'application/dash+xml',
  storyboard: 'text/vtt; charset=utf-8',
} as const;

/** Aborts when the answer is over, or its client gone. Made only where something can be given up: most answers need none. */
function goneOf({ raw }: FastifyReply): AbortSignal {
  if (raw.closed) return AbortSignal.abort(GONE);
  const gone = new AbortController();
  raw.once('close', () => gone.abort(GONE));
  return gone.signal;
}

/** Breaks the connection off where the store gives fewer bytes than were announced, so that no part passes for the whole. */
function exactly(sizeBytes: number): Transform {
  let left = sizeBytes;
  return new Transform({
    transform(chunk: Buffer, _, done) {
      left -= chunk.length;
      done(null, chunk);
    },
    flush(done) {
      done(left === 0 ? null : new Error(`${left} bytes of ${sizeBytes} are missing`));
    },
  });
}
