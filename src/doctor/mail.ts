import type { Config } from '../common/config/index.js';
import { Mailer } from '../common/mail/index.js';
import type { Area } from './check.js';

export function mailArea(config: Config): Area {
  const mailer = new Mailer(config);
  return {
    name: 'mail',
    close: () => mailer.onApplicationShutdown(),
    checks: [
      {
        code: 'MAIL_FAILS',
        right: 'the mail server takes us (nothing is sent)',
        todo: 'Mend SMTP_URL: smtps:// for TLS from the start (port 465), smtp:// for STARTTLS (port 587), user and password as the provider gives them.',
        look: async () => {
          await mailer.verify();
          return null;
        },
      },
    ],
  };
}
