export { EventStream, type EventStreamOptions } from './event-stream.js';
export { CursorExpired } from './live.errors.js';
export { Live, type StateStreamOptions, type TickObserver } from './live.js';
export { LiveModule } from './live.module.js';
export { LiveEvents } from './live-events.js';
export { LiveEventsModule } from './live-events.module.js';
export type { LiveEvent, LiveTopic, Place } from './live-topic.js';
