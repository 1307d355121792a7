export { defineEvent, type EventDefinition } from './define-event.js';
export { Events } from './events.js';
export { EventsModule } from './events.module.js';
export { OnEvent } from './on-event.js';
