import { Global, Module } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import { UncaughtErrors } from './http-errors.filter.js';
import { Pages } from './pages.js';
import { RequestLimits } from './request-limits.js';

@Global()
@Module({
  providers: [Pages, RequestLimits, { provide: APP_FILTER, useClass: UncaughtErrors }],
  exports: [Pages],
})
export class HttpModule {}
