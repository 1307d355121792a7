import SluiceUppy from '@sluice/client/uppy';
import Uppy from '@uppy/core';

globalThis.begin = (options) => {
  globalThis.page = { progress: 0, paused: 0, done: false, error: null };
  const uppy = new Uppy({ autoProceed: true }).use(SluiceUppy, options);
  globalThis.uppy = uppy;
  uppy.on('upload-progress', (_file, { bytesUploaded }) => {
    page.progress = bytesUploaded;
  });
  uppy.on('upload-success', (_file, { body }) => {
    page.videoId = body.videoId;
  });
  uppy.on('upload-error', (_file, { code }) => {
    page.error = code;
  });
  uppy.on('complete', ({ successful, failed }) => {
    page.done = failed.length === 0 && successful.length > 0;
  });
  for (const file of document.querySelector('input').files) {
    uppy.addFile({ name: file.name, type: file.type, data: file, meta: { title: `Of Uppy: ${file.name}` } });
  }
};
