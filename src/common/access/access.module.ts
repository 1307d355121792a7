import { Global, Module } from '@nestjs/common';
import { APP_GUARD, MetadataScanner } from '@nestjs/core';
import { AccessGuard } from './access.guard.js';
import { LoginSessions } from './login-sessions.js';

@Global()
@Module({
  providers: [MetadataScanner, LoginSessions, AccessGuard, { provide: APP_GUARD, useExisting: AccessGuard }],
  exports: [AccessGuard, LoginSessions],
})
export class AccessModule {}
