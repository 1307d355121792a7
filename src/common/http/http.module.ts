import { Global, Module } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import { UncaughtErrors } from './http-errors.filter.js';
import { Pages } from './pages.js';

@Global()
@Module({ providers: [Pages, { provide: APP_FILTER, useClass: UncaughtErrors }], exports: [Pages] })
export class HttpModule {}
