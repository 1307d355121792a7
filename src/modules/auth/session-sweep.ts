import { Injectable } from '@nestjs/common';
import { Periodically } from '../../common/jobs/index.js';
import { SessionsService } from './sessions.service.js';

/** Forgets sessions that ended long ago, every hour, in small batches. */
@Injectable()
export class SessionSweep {
  constructor(private readonly sessions: SessionsService) {}

  @Periodically(3_600_000)
  async sweep(signal: AbortSignal): Promise<void> {
    while (!signal.aborted && (await this.sessions.sweep()));
  }
}
