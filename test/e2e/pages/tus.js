import { Upload } from 'tus-js-client';

/** The example of tus-js-client's README, with what it wants to be told. */
globalThis.begin = async ({ endpoint, token, ...options }) => {
  const [file] = document.querySelector('input').files;
  globalThis.page = { progress: 0, done: false, error: null };
  const upload = new Upload(file, {
    endpoint,
    headers: { authorization: `Bearer ${token}` },
    metadata: { filename: file.name, filetype: file.type },
    ...options,
    onProgress: (sent) => {
      page.progress = sent;
    },
    onSuccess: () => {
      page.done = true;
    },
    onError: (error) => {
      page.error = String(error);
    },
  });
  globalThis.upload = upload;
  const [previous] = await upload.findPreviousUploads();
  page.resumed = previous !== undefined;
  if (previous) upload.resumeFromPreviousUpload(previous);
  upload.start();
};
