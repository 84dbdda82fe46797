import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Config, Database, SystemClock } from '@io/platform';
import { composeEmail } from '@core/notifications';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { afterFile } from '../../../../test/support/after-file.js';
import { createTestDatabase } from '../../../../test/support/database.js';
import { anAccount } from '../../../../test/support/factories.js';
import { EmailSenderService } from './email-sender.service.js';
import { EmailsRepository } from './emails.repository.js';
import { MailTransport } from './mail-transport.js';
import { queueEmails } from './queue-emails.js';

class StandingClock extends SystemClock {
  at = new Date();
  override now(): Date {
    return this.at;
  }
}

let settings: Record<string, string>;
let db: Database;
let accountId: string;
const clock = new StandingClock();

beforeAll(async () => {
  const home = mkdtempSync(join(tmpdir(), 'tollgate-mail-'));
  afterFile(() => rmSync(home, { recursive: true, force: true }));
  settings = {
    DATABASE_URL: await createTestDatabase(),
    TOLLGATE_SECRET: 'k1:MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXY=',
    TOLLGATE_HOME: home,
    EMAIL_FROM: 'Tollgate <alerts@example.com>',
  };
  db = new Database(new Config(settings));
  afterFile(() => db.onApplicationShutdown());
  accountId = (await anAccount(db.pool)).id;
});

function aSender(more: Record<string, string> = {}): EmailSenderService {
  const transport = new MailTransport(new Config({ ...settings, ...more }));
  onTestFinished(() => transport.onApplicationShutdown());
  return new EmailSenderService(new EmailsRepository(db), transport, clock);
}

const queue = (cause: string, subject = 'Zoë: 80 % of the quota') =>
  db.$transaction((tx) => {
    const email = composeEmail({
      recipient: 'ada@example.com',
      subject,
      paragraphs: ['<b>Hello</b>'],
    });
    return queueEmails(tx, [{ ...email, accountId, cause }], clock.now());
  });

const statusOf = async (cause: string) => {
  const { rows } = await db.pool.query('SELECT status, tries FROM email_message WHERE cause = $1', [
    cause,
  ]);
  return rows;
};

/** An SMTP server that takes everything, or answers every message with a code. */
async function anSmtpServer(verdict: () => string): Promise<{ port: number; messages: string[] }> {
  const messages: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    let data: string | null = null;
    let rest = '';
    socket.write('220 test\r\n');
    socket.on('data', (chunk) => {
      const lines = (rest + chunk.toString()).split('\r\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        if (data !== null) {
          if (line === '.') {
            const answer = verdict();
            if (answer.startsWith('2')) messages.push(data);
            socket.write(`${answer}\r\n`);
            data = null;
          } else data += `${line}\n`;
        } else if (line === 'DATA') {
          data = '';
          socket.write('354 go on\r\n');
        } else socket.write(line === 'QUIT' ? '221 bye\r\n' : '250 ok\r\n');
      }
    });
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, messages };
}

describe('EmailSenderService', () => {
  it('writes files that only this user may read, once for each cause and recipient', async () => {
    await queue('alc_file');
    await queue('alc_file');
    expect(await aSender().sendDue()).toBe(1);
    const folder = join(settings['TOLLGATE_HOME'] ?? '', 'mail');
    const [name = ''] = readdirSync(folder);
    expect(statSync(join(folder, name)).mode & 0o777).toBe(0o600);
    const text = readFileSync(join(folder, name), 'utf8');
    expect(text).toMatch(/^To: ada@example\.com$/m);
    expect(text).toMatch(/^From: Tollgate <alerts@example\.com>$/m);
    expect(text).toContain('&lt;b&gt;Hello');
    expect(await statusOf('alc_file')).toEqual([{ status: 'sent', tries: 1 }]);
  });

  it('sends over SMTP, and again later what the server did not take, with one Message-ID', async () => {
    let verdict = '451 later';
    const seen: string[] = [];
    const { port, messages } = await anSmtpServer(() => {
      seen.push(verdict);
      return verdict;
    });
    const sender = aSender({ SMTP_URL: `smtp://127.0.0.1:${port}` });
    await queue('alc_smtp');
    expect(await sender.sendDue()).toBe(1);
    expect(await statusOf('alc_smtp')).toEqual([{ status: 'pending', tries: 1 }]);
    expect(await sender.sendDue()).toBe(0);
    clock.at = new Date(clock.at.getTime() + 6_000);
    verdict = '250 taken';
    expect(await sender.sendDue()).toBe(1);
    expect(seen).toEqual(['451 later', '250 taken']);
    expect(messages).toHaveLength(1);
    expect(messages[0]).toMatch(/^Message-ID: <eml_\w+@tollgate>$/im);
    expect(await statusOf('alc_smtp')).toEqual([{ status: 'sent', tries: 2 }]);
  });

  it('sends each message once, though three workers send', async () => {
    const { port, messages } = await anSmtpServer(() => '250 taken');
    for (let n = 0; n < 12; n += 1) await queue(`alc_many_${n}`);
    const senders = [1, 2, 3].map(() => aSender({ SMTP_URL: `smtp://127.0.0.1:${port}` }));
    await Promise.all(senders.map((sender) => sender.sendDue()));
    expect(messages).toHaveLength(12);
  });

  it('keeps no message whose header would be more than its own, whoever wrote it', async () => {
    await expect(queue('alc_evil', 'Hi\r\nBcc: eve@example.com')).rejects.toThrow('one line');
    const raw = db.pool.query(
      `INSERT INTO email_message (id, account_id, cause, recipient, subject, text, html, next_attempt_at, created_at)
       VALUES ('eml_x', $1, 'x', E'a@example.com\\r\\nBcc: b@example.com', 's', 't', 'h', now(), now())`,
      [accountId],
    );
    await expect(raw).rejects.toThrow('check constraint');
  });
});
