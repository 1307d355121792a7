import { BasePlugin, type Body, EventManager, type Meta, type PluginOpts, type Uppy, type UppyFile } from '@uppy/core';
import { filterFilesToEmitUploadStarted, filterFilesToUpload } from '@uppy/core/utils';
import { createUpload, type Upload, type UploadOptions } from '../index.js';
import { Places } from '../places.js';

export interface SluiceUppyOptions
  extends PluginOpts,
    Omit<UploadOptions, 'title' | 'description' | 'fileName' | 'sessionId'> {
  /** How many files are sent at once: 2 by default. One that is paused leaves its place to the next. */
  limit?: number;
}

/**
 * Uploads what is added to Uppy by Sluice's own client. `meta.title`, `meta.description` and `meta.visibility` of a file
 * are those of its video; `response.body.videoId` names the video when it is done.
 * Pausing, resuming, retrying, removing and cancelling are Uppy's own; what is removed is cancelled.
 */
export class SluiceUppy<M extends Meta, B extends Body> extends BasePlugin<SluiceUppyOptions, M, B> {
  private readonly places: Places;

  constructor(uppy: Uppy<M, B>, options: SluiceUppyOptions) {
    super(uppy, options);
    this.id = options.id ?? 'SluiceUppy';
    this.type = 'uploader';
    this.places = new Places(options.limit ?? 2);
  }

  override install(): void {
    this.resumable(true);
    this.uppy.addUploader(this.handle);
  }

  override uninstall(): void {
    this.resumable(false);
    this.uppy.removeUploader(this.handle);
  }

  private resumable(resumableUploads: boolean): void {
    this.uppy.setState({ capabilities: { ...this.uppy.getState().capabilities, resumableUploads } });
  }

  private readonly handle = async (ids: string[]): Promise<void> => {
    const files = filterFilesToUpload(this.uppy.getFilesByIds(ids));
    this.uppy.emit('upload-start', filterFilesToEmitUploadStarted(files));
    await Promise.allSettled(files.map((file) => this.send(file)));
  };

  private async send(file: UppyFile<M, B>): Promise<void> {
    const events = new EventManager(this.uppy);
    const place = this.places.turn();
    try {
      if (file.isRemote || !file.data) throw new Error('Only files of this device can be uploaded.');
      const upload = this.uploadOf(file, file.data);
      const result = await new Promise<{ sessionId: string; videoId: string } | null>((resolve, reject) => {
        let begun = false;
        const go = () =>
          place.take(() => {
            if (begun) return upload.resume();
            begun = true;
            upload.start().then(resolve, reject);
          });
        const move = (isPaused: boolean) => {
          if (!isPaused) return go();
          place.leave();
          upload.pause();
        };
        events.onPause(file.id, move);
        events.onPauseAll(file.id, () => move(true));
        events.onResumeAll(file.id, () => move(false));
        events.onFileRemove(file.id, () => {
          resolve(null);
          void upload.cancel();
        });
        if (!file.isPaused) go();
      });
      if (!result) return;
      this.uppy.emit('upload-success', this.uppy.getFile(file.id), { status: 200, body: result as unknown as B });
    } catch (error) {
      this.uppy.emit('upload-error', this.uppy.getFile(file.id), error as Error);
      throw error;
    } finally {
      place.leave();
      events.remove();
    }
  }

  private uploadOf(file: UppyFile<M, B>, data: Blob | File): Upload {
    const { limit: _, id: __, locale: ___, ...options } = this.opts;
    const { title, description, visibility = options.visibility } = file.meta as Partial<UploadOptions>;
    const upload = createUpload(data, {
      ...options,
      title,
      description,
      visibility,
      fileName: file.name,
    } as UploadOptions);
    upload.on('progress', ({ committedBytes, sizeBytes }) => {
      const now = this.uppy.getFile(file.id);
      if (!now) return;
      const uploadStarted = now.progress.uploadStarted ?? Date.now();
      this.uppy.emit('upload-progress', now, { uploadStarted, bytesUploaded: committedBytes, bytesTotal: sizeBytes });
    });
    upload.on('state', (state) => {
      const now = this.uppy.getFile(file.id);
      if (state === 'waiting' && now) this.uppy.emit('upload-stalled', { message: 'Waiting for the network …' }, [now]);
    });
    return upload;
  }
}

export default SluiceUppy;
