import { useUpload } from '@sluice/client/react';
import { createRoot } from 'react-dom/client';

function App({ options, file }) {
  const upload = useUpload(options);
  const { state, progress, error, videoId } = upload;
  globalThis.page = {
    progress: progress.committedBytes,
    state,
    done: state === 'done',
    error: error?.code ?? null,
    videoId,
  };
  return (
    <>
      <p role="status">{state}</p>
      <button type="button" onClick={() => upload.start(file)}>
        Start
      </button>
      <button type="button" onClick={upload.pause}>
        Pause
      </button>
      <button type="button" onClick={upload.resume}>
        Resume
      </button>
      <button type="button" onClick={upload.cancel}>
        Cancel
      </button>
    </>
  );
}

globalThis.begin = (options) => {
  const root = createRoot(document.querySelector('#app'));
  const [file] = document.querySelector('input').files;
  root.render(<App options={options} file={file} />);
  globalThis.unmount = () => root.unmount();
};
