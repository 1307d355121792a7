export { defineEvent, type EventDefinition } from './define-event.js';
export { Events } from './events.js';
export { EventsModule } from './events.module.js';
export { AFTER_STRAGGLERS, OnEvent, type OnEventOptions } from './on-event.js';
