import Uppy from '@uppy/core';
import Tus from '@uppy/tus';

/** Uppy with its own plugin for tus, as its documentation has it. */
globalThis.begin = async ({ endpoint, token, ...options }) => {
  globalThis.page = { progress: 0, done: false, error: null };
  const uppy = new Uppy({ autoProceed: true }).use(Tus, {
    endpoint,
    headers: { authorization: `Bearer ${token}` },
    ...options,
  });
  uppy.on('upload-progress', (_file, { bytesUploaded }) => {
    page.progress = bytesUploaded;
  });
  uppy.on('complete', ({ successful, failed }) => {
    page.done = successful.length > 0;
    page.error = failed[0]?.error ?? null;
  });
  for (const file of document.querySelector('input').files) {
    uppy.addFile({ name: file.name, type: file.type, data: file });
  }
};
