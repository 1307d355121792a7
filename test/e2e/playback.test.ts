import { startApp } from '../support/index.js';
import { playbackTests } from './played.js';

playbackTests(async () => {
  const { url, stop } = await startApp();
  return { url, remove: stop };
});
