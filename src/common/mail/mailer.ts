import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import type { Transporter } from 'nodemailer';
import { CONFIG, type Config } from '../config/index.js';

const TIMEOUT_MS = 10_000;

export interface Mail {
  to: string;
  subject: string;
  /** Plain text, in lines as they are to be read. */
  text: string;
}

/** Sends mail by the server that SMTP_URL names. To be called from jobs: a server that is away is tried again. */
@Injectable()
export class Mailer implements OnApplicationShutdown {
  private transporter: Promise<Transporter> | undefined;

  constructor(@Inject(CONFIG) private readonly config: Pick<Config, 'smtp'>) {}

  get configured(): boolean {
    return this.config.smtp !== null;
  }

  /** Resolves when the server has taken it. */
  async send(mail: Mail): Promise<void> {
    await (await this.connect()).sendMail({
      ...mail,
      from: this.config.smtp?.from,
      disableFileAccess: true,
      disableUrlAccess: true,
    });
  }

  /** Connects and signs in; sends nothing. @throws with what the server or the network said */
  async verify(): Promise<void> {
    await (await this.connect()).verify();
  }

  async onApplicationShutdown(): Promise<void> {
    (await this.transporter)?.close();
  }

  /** Loaded by the first who needs it: most processes never do. */
  private connect(): Promise<Transporter> {
    const { smtp } = this.config;
    if (!smtp) throw new Error('SMTP_URL is not set: no mail can be sent.');
    this.transporter ??= import('nodemailer').then(({ createTransport }) =>
      createTransport({
        url: smtp.url,
        connectionTimeout: TIMEOUT_MS,
        greetingTimeout: TIMEOUT_MS,
        socketTimeout: TIMEOUT_MS,
      }),
    );
    return this.transporter;
  }
}
