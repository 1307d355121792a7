import { Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { Live } from '../live/index.js';
import { ActorResolver } from './actor.js';

const POLL_MS = 1_000;

/** Ends what is open for a login session (sockets, streams) within 2 s after the session ended or was revoked. */
@Injectable()
export class LoginSessions implements OnApplicationShutdown {
  private readonly logger = new Logger(LoginSessions.name);
  private readonly open = new Map<string, { ends: Set<() => void>; unlisten: () => void }>();
  private timer: NodeJS.Timeout | undefined;
  private polling = false;

  constructor(
    private readonly live: Live,
    private readonly modules: ModuleRef,
  ) {}

  /**
   * @param end called once, when the session is over
   * @returns call it when what is open has closed for another reason
   */
  watch(sessionId: string, end: () => void): () => void {
    let session = this.open.get(sessionId);
    if (!session) {
      const unlisten = this.live.listen(`session:${sessionId}`, () => void this.check([sessionId]));
      session = { ends: new Set(), unlisten };
      this.open.set(sessionId, session);
    }
    session.ends.add(end);
    this.timer ??= setInterval(() => void this.poll(), POLL_MS);
    return () => {
      session.ends.delete(end);
      if (session.ends.size === 0 && this.open.get(sessionId) === session) this.forget(sessionId);
    };
  }

  /** Redis only hastens it: this is what makes it certain. */
  private async poll(): Promise<void> {
    if (this.polling) return;
    this.polling = true;
    await this.check([...this.open.keys()]);
    this.polling = false;
  }

  private async check(sessionIds: string[]): Promise<void> {
    try {
      const live = new Set(await this.modules.get(ActorResolver, { strict: false }).liveAmong(sessionIds));
      for (const sessionId of sessionIds) {
        const session = this.open.get(sessionId);
        if (!session || live.has(sessionId)) continue;
        this.forget(sessionId);
        for (const end of session.ends) end();
      }
    } catch (error) {
      // While the database is away no session can be revoked either.
      this.logger.warn(`could not check login sessions: ${error instanceof Error ? error.message : error}`);
    }
  }

  private forget(sessionId: string): void {
    this.open.get(sessionId)?.unlisten();
    this.open.delete(sessionId);
    if (this.open.size === 0) this.stop();
  }

  private stop(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  onApplicationShutdown(): void {
    this.stop();
  }
}
