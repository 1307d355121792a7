import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import argon2 from 'argon2';
import { Busy } from './auth.errors.js';

/** 64 MiB and three passes, above OWASP's minimum for argon2id; about 0.15 s of one core. */
const COST = { type: argon2.argon2id, memoryCost: 65_536, timeCost: 3, parallelism: 1 } as const;
/** At once: each holds 64 MiB and a thread of libuv's pool of four, which files and DNS need too. */
const AT_ONCE = 2;
/** Waiting: a few seconds of work; more would outlive the clients' patience. */
const MAX_WAITING = 40;

/** Hashes and compares passwords, a bounded number at once. */
@Injectable()
export class Passwords {
  private running = 0;
  private readonly waiting: (() => void)[] = [];
  /** No password has it, and comparing with it costs what comparing with a real one does. */
  private readonly nobodys =
    `$argon2id$v=19$m=${COST.memoryCost},t=${COST.timeCost},p=${COST.parallelism}$${part(16)}$${part(32)}`;

  /** @throws Busy */
  async hash(password: string): Promise<string> {
    return this.inTurn(() => argon2.hash(password, COST));
  }

  /**
   * @param hash null for an unknown account: false after the same work, so that the time it takes tells nothing
   * @throws Busy
   */
  async matches(hash: string | null, password: string): Promise<boolean> {
    const same = await this.inTurn(() => argon2.verify(hash ?? this.nobodys, password));
    return same && hash !== null;
  }

  private async inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.running < AT_ONCE) this.running++;
    else if (this.waiting.length >= MAX_WAITING) throw new Busy();
    else await new Promise<void>((turn) => this.waiting.push(turn));
    try {
      return await work();
    } finally {
      const next = this.waiting.shift();
      if (next) next();
      else this.running--;
    }
  }
}

/** Random bytes in the unpadded Base64 of encoded hashes. */
function part(bytes: number): string {
  return randomBytes(bytes).toString('base64').replace(/=+$/, '');
}
