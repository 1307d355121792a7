import shaka from 'shaka-player/dist/shaka-player.ui.js';
import 'shaka-player/dist/controls.css';
import type { Playback } from './video.js';

/** HTTP answers that mean: this address is no good any more, as against 503, which means: not yet. */
const GONE = new Set([401, 403, 404, 410]);

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

export interface Source {
  playback: Playback;
  storyboardUrl: string | null;
}

export class Player {
  private readonly engine = new shaka.Player();
  private overlay: shaka.ui.Overlay | null = null;
  private loadedFrom = '';
  private current = '';

  constructor(
    private readonly container: HTMLElement,
    private readonly video: HTMLVideoElement,
    private readonly on: { failed: (message: string) => void; gone: () => void },
  ) {}

  async open(): Promise<void> {
    shaka.polyfill.installAll();
    await this.engine.attach(this.video);
    this.engine.setVideoContainer(this.container);
    this.engine.configure({
      manifest: { retryParameters: PATIENT },
      streaming: { retryParameters: PATIENT, rebufferingGoal: 1, bufferingGoal: 30 },
    });
    this.overlay = new shaka.ui.Overlay(this.engine, this.container, this.video);
    this.overlay.configure({
      controlPanelElements: ['play_pause', 'mute_volume', 'time_and_duration', 'spacer', 'overflow_menu', 'fullscreen'],
      overflowMenuButtons: ['quality', 'captions', 'playback_rate', 'picture_in_picture'],
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
    // Addresses below the manifest's carry its token. Once a newer one is known, requests use that.
    this.engine.getNetworkingEngine()?.registerRequestFilter((_type, asked) => {
      asked.uris = asked.uris.map((uri) =>
        uri.startsWith(this.loadedFrom) ? this.current + uri.slice(this.loadedFrom.length) : uri,
      );
    });
  }

  /** Starts, or starts over at the same moment: also takes in the rungs that were made since. */
  async load(source: Source): Promise<void> {
    const address = addressOf(source.playback);
    const at = this.loadedFrom === '' ? null : this.video.currentTime;
    const wasPlaying = at !== null && !this.video.paused;
    this.loadedFrom = this.current = folderOf(address);
    if (source.playback.posterUrl) this.video.poster = source.playback.posterUrl;
    try {
      await this.engine.load(address, at);
      if (source.storyboardUrl) await this.engine.addThumbnailsTrack(source.storyboardUrl, 'text/vtt');
      if (wasPlaying) await this.play();
    } catch (error) {
      this.report(error);
    }
  }

  /** Goes on with newer addresses of the same media; what is buffered stays. */
  renew(playback: Playback): void {
    this.current = folderOf(addressOf(playback));
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

  private report(error: unknown): void {
    const code = error instanceof shaka.util.Error ? error.code : null;
    if (code === shaka.util.Error.Code.LOAD_INTERRUPTED) return;
    const status =
      error instanceof shaka.util.Error && code === shaka.util.Error.Code.BAD_HTTP_STATUS ? Number(error.data[1]) : 0;
    if (GONE.has(status)) this.on.gone();
    else if (code === null) this.on.failed(error instanceof Error ? error.message : String(error));
    else this.on.failed(`The player stopped (Shaka error ${code}${status ? `, HTTP ${status}` : ''}).`);
  }
}

/** DASH where the browser has Media Source Extensions, and its own HLS where it has not (older iPhones). */
function addressOf(playback: Playback): string {
  return 'MediaSource' in window || 'ManagedMediaSource' in window ? playback.dashUrl : playback.hlsUrl;
}

function folderOf(address: string): string {
  return new URL('.', address).href;
}
