// Loaded into a measured server: answers on STALLS_PORT how long its event loop was held at most since it was last asked, in ms.
import { createServer } from 'node:http';
import { monitorEventLoopDelay } from 'node:perf_hooks';

const RESOLUTION_MS = 5;
const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
delay.enable();
createServer((_request, response) => {
  // It counts from tick to tick, the resting time between them included.
  response.end(String(Math.max(0, delay.max / 1e6 - RESOLUTION_MS)));
  delay.reset();
})
  .listen(Number(process.env.STALLS_PORT), '127.0.0.1')
  .unref();
