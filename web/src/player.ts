import shaka from 'shaka-player/dist/shaka-player.ui.js';
import 'shaka-player/dist/controls.css';
import { QualityMenu, type Rung } from './quality-menu.js';
import type { Playback } from './video.js';

/** HTTP answers that mean: this address is no good any more, as against 503, which means: not yet. */
const GONE = new Set([401, 403, 404, 410]);

/** The part of an address that is its permission. */
const TOKEN = /\/media\/[^/]+\//;

/**
 * A segment that is still being made is held for up to 8 s and then answered with 503; so a request may take long, and is
 * repeated once a second for some ten minutes before playing fails.
 */
const PATIENT = {
  maxAttempts: 75,
  baseDelay: 1000,
  backoffFactor: 1,
  fuzzFactor: 0.5,
  connectionTimeout: 20_000,
  stallTimeout: 20_000,
  timeout: 60_000,
};

/** Nothing but a segment that is not made yet lets its first byte wait for so long. */
const HELD_MS = 1_000;

/** Of what is buffered, so many seconds are kept where another rung is asked for: time to load the next segment in. */
const KEPT_SECONDS = 6;

/** Shaka's own choice of a rung, among those that may be played by now: its manifest lists all that will be. */
class Chooser extends shaka.abr.SimpleAbrManager {
  private listed: shaka.extern.Variant[] = [];
  private playable: ReadonlySet<string> = new Set();

  allow(names: ReadonlySet<string>): void {
    this.playable = names;
    if (this.listed.length > 0) super.setVariants(this.allowed(), false);
  }

  override setVariants(variants: shaka.extern.Variant[], isLowLatency: boolean): boolean {
    this.listed = variants;
    return super.setVariants(this.allowed(), isLowLatency);
  }

  /** Shaka counts the wait for the first byte as part of the download: of a held segment it would learn that the link is slow. */
  override segmentDownloaded(...[ms, bytes, mayChange, request, context]: Downloaded): void {
    const waited = request?.packetNumber === 1 ? (request.timeToFirstByte ?? 0) : 0;
    super.segmentDownloaded(waited > HELD_MS ? Math.max(0, ms - waited) : ms, bytes, mayChange, request, context);
  }

  private allowed(): shaka.extern.Variant[] {
    return this.listed.filter(({ video }) => video && this.playable.has(video.originalId ?? ''));
  }
}
type Downloaded = Parameters<shaka.abr.SimpleAbrManager['segmentDownloaded']>;

export class Player {
  private readonly engine = new shaka.Player();
  private readonly chooser = new Chooser();
  private overlay: shaka.ui.Overlay | null = null;
  private menu: QualityMenu | null = null;
  private rungs: readonly Rung[] = [];
  /** The rung that the viewer asked for; null: whatever the link carries. */
  private wanted: string | null = null;
  /** What the newest addresses have where `TOKEN` is. */
  private token = '';
  private isLoaded = false;
  private storyboardUrl: string | null = null;
  private previewed: string | null = null;

  /**
   * @param on.gone an address is no good any more; the player goes on asking for as long as it is not closed
   * @param on.chosen the viewer wants this rung; null: whatever the link carries
   */
  constructor(
    private readonly container: HTMLElement,
    private readonly video: HTMLVideoElement,
    private readonly on: { failed: (message: string) => void; gone: () => void; chosen: (name: string | null) => void },
  ) {}

  async open(): Promise<void> {
    shaka.polyfill.installAll();
    await this.engine.attach(this.video);
    this.engine.setVideoContainer(this.container);
    this.engine.configure({
      manifest: { retryParameters: PATIENT },
      streaming: { retryParameters: PATIENT, rebufferingGoal: 1, bufferingGoal: 30 },
      abrFactory: () => this.chooser,
      // Seconds: at most a choice a segment.
      abr: { switchInterval: 4 },
    });
    shaka.ui.Controls.registerElement('rungs', {
      create: (parent: HTMLElement, controls: shaka.ui.Controls) => {
        this.menu = new QualityMenu(parent, controls, (name) => this.choose(name));
        this.show();
        return this.menu;
      },
    });
    this.overlay = new shaka.ui.Overlay(this.engine, this.container, this.video);
    this.overlay.configure({
      controlPanelElements: [
        ...['play_pause', 'mute_volume', 'time_and_duration', 'spacer'],
        ...['rungs', 'overflow_menu', 'fullscreen'],
      ],
      overflowMenuButtons: ['captions', 'playback_rate', 'picture_in_picture'],
      topControlPanelElements: [],
      contextMenuElements: [],
      customContextMenu: false,
      castSenderUrl: '',
      enableKeyboardPlaybackControlsInWindow: true,
    });
    this.engine.addEventListener('error', (event: Event) => {
      const { detail } = event as CustomEvent<shaka.util.Error>;
      if (detail.severity === shaka.util.Error.Severity.CRITICAL) this.report(detail);
    });
    for (const name of ['adaptation', 'variantchanged', 'loaded']) {
      this.engine.addEventListener(name, () => this.show());
    }
    const network = this.engine.getNetworkingEngine();
    // Addresses below the manifest's carry its token. Once a newer one is known, requests use that: every attempt comes by here.
    network?.registerRequestFilter((_type, asked) => {
      asked.uris = asked.uris.map((uri) => uri.replace(TOKEN, this.token));
    });
    network?.addEventListener('retry', (event: Event) => {
      const { error } = event as Event & { error?: shaka.util.Error };
      if (error && GONE.has(statusOf(error))) this.on.gone();
    });
  }

  /** Starts, or starts over at the same moment. At least one rung was offered before. */
  async load(playback: Playback, storyboardUrl: string | null): Promise<void> {
    const at = this.isLoaded ? this.video.currentTime : null;
    const wasPlaying = at !== null && !this.video.paused;
    this.renew(playback);
    if (playback.posterUrl) this.video.poster = playback.posterUrl;
    try {
      await this.engine.load(addressOf(playback), at);
      this.isLoaded = true;
      this.previewed = null;
      this.follow();
      await this.preview(storyboardUrl);
      if (wasPlaying) await this.play();
    } catch (error) {
      this.report(error);
    }
  }

  /** What there is to choose from by now, the lowest first. What plays goes on. */
  offer(rungs: readonly Rung[]): void {
    this.rungs = rungs;
    this.chooser.allow(new Set(rungs.filter(({ playable }) => playable).map(({ name }) => name)));
    this.follow();
  }

  /** Shows stills on the seek bar, once there are some. */
  async preview(storyboardUrl: string | null): Promise<void> {
    this.storyboardUrl = storyboardUrl ?? this.storyboardUrl;
    if (!this.storyboardUrl || !this.isLoaded || this.storyboardUrl === this.previewed) return;
    // Pictures are loaded past the filter of requests, so those with the addresses of before go.
    if (this.previewed) this.engine.getManifest()?.imageStreams.splice(0);
    this.previewed = this.storyboardUrl;
    await this.engine.addThumbnailsTrack(this.storyboardUrl, 'text/vtt');
  }

  /**
   * Goes on with newer addresses of the same media; what is buffered stays.
   *
   * @returns false where they are what it had
   */
  renew(playback: Playback): boolean {
    const before = this.token;
    this.token = TOKEN.exec(addressOf(playback))?.[0] ?? '';
    return this.token !== before;
  }

  /** Without sound, where the browser lets no page begin with sound unasked. */
  async play(): Promise<void> {
    try {
      await this.video.play();
    } catch (error) {
      if (!(error instanceof DOMException) || error.name !== 'NotAllowedError') throw error;
      this.video.muted = true;
      await this.video.play();
    }
  }

  async close(): Promise<void> {
    await this.overlay?.destroy();
    await this.engine.destroy();
  }

  /** As if the viewer had never chosen this rung. */
  leave(name: string): void {
    if (this.wanted === name) this.wanted = null;
    this.follow();
  }

  private choose(name: string | null): void {
    this.wanted = name;
    this.follow();
    this.on.chosen(name);
  }

  /** Plays what was asked for as soon as that can be, and until then what the link carries. */
  private follow(): void {
    const track = this.engine.getVariantTracks().find(({ originalVideoId }) => originalVideoId === this.wanted);
    const held = track && this.rungs.some(({ name, playable }) => playable && name === this.wanted) ? track : null;
    const enabled = held === null;
    if (this.engine.getConfiguration().abr.enabled !== enabled) this.engine.configure({ abr: { enabled } });
    if (held && !held.active) this.engine.selectVariantTrack(held, true, KEPT_SECONDS);
    this.show();
  }

  private show(): void {
    const playing = this.engine.getVariantTracks().find(({ active }) => active)?.originalVideoId ?? null;
    this.menu?.show(this.rungs, this.wanted, playing);
  }

  private report(error: unknown): void {
    const code = error instanceof shaka.util.Error ? error.code : null;
    if (code === shaka.util.Error.Code.LOAD_INTERRUPTED) return;
    const status = statusOf(error);
    if (GONE.has(status)) this.on.gone();
    else if (code === null) this.on.failed(error instanceof Error ? error.message : String(error));
    else this.on.failed(`The player stopped (Shaka error ${code}${status ? `, HTTP ${status}` : ''}).`);
  }
}

/** Of the answer that was no success; 0 for every other error. */
function statusOf(error: unknown): number {
  const isAnswer = error instanceof shaka.util.Error && error.code === shaka.util.Error.Code.BAD_HTTP_STATUS;
  return isAnswer ? Number(error.data[1]) : 0;
}

/** DASH where the browser has Media Source Extensions, and its own HLS where it has not (older iPhones). */
function addressOf(playback: Playback): string {
  return 'MediaSource' in window || 'ManagedMediaSource' in window ? playback.plannedDashUrl : playback.hlsUrl;
}
