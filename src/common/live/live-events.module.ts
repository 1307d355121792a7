import { Global, Module } from '@nestjs/common';
import { LiveEvents } from './live-events.js';

/** Apart from LiveModule, which works without a database. */
@Global()
@Module({ providers: [LiveEvents], exports: [LiveEvents] })
export class LiveEventsModule {}
