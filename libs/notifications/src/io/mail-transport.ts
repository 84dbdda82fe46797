import { chmod, mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import type { Email } from '@core/notifications';
import { Config } from '@io/platform';

/** A message on its way. */
export interface OutgoingEmail extends Email {
  /** Its Message-ID, the same at every attempt, so that a mailbox that got it twice can tell. */
  readonly id: string;
}

const SMTP_TIMEOUTS = { connectionTimeout: 5_000, greetingTimeout: 5_000, socketTimeout: 20_000 };

/** Sends e-mail to the server of SMTP_URL; without one, as `<id>.eml` files below TOLLGATE_HOME/mail. */
@Injectable()
export class MailTransport implements OnApplicationShutdown {
  private readonly folder: string;
  private mailer: Mailer | undefined;

  constructor(private readonly config: Config) {
    this.folder = join(config.home, 'mail');
  }

  /** Throws when the server does not take it. */
  async send({ id, recipient, subject, text, html }: OutgoingEmail): Promise<void> {
    const message = {
      from: this.config.email.from,
      to: { name: '', address: recipient },
      subject,
      text,
      html,
      messageId: `<${id}@tollgate>`,
      headers: { 'Auto-Submitted': 'auto-generated' },
      disableFileAccess: true,
      disableUrlAccess: true,
    };
    this.mailer ??= await mailerOf(this.config);
    const { smtp, files } = this.mailer;
    if (smtp) {
      await smtp.sendMail(message);
      return;
    }
    const { message: bytes } = await files.sendMail(message);
    await mkdir(this.folder, { recursive: true, mode: 0o700 });
    const path = join(this.folder, `${id}.eml`);
    await writeFile(`${path}.part`, bytes as Buffer, { mode: 0o600 });
    await chmod(`${path}.part`, 0o600);
    await rename(`${path}.part`, path);
  }

  onApplicationShutdown(): void {
    this.mailer?.smtp?.close();
  }
}

type Mailer = Awaited<ReturnType<typeof mailerOf>>;

/** Reads nodemailer with the first message: most processes send none. */
async function mailerOf({ email: { smtpUrl } }: Config) {
  const { createTransport } = await import('nodemailer');
  return {
    smtp: smtpUrl === null ? null : createTransport({ url: smtpUrl, ...SMTP_TIMEOUTS }),
    files: createTransport({ streamTransport: true, buffer: true }),
  };
}
