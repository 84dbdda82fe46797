import { setTimeout as sleep } from 'node:timers/promises';
import type { NumberedSender } from './numbered-sender.js';
import type { PatientClient } from './patient-client.js';
import type { Said } from './sayings.js';
import type { LedgerRecord } from './usage-ledger.js';

/** Corrects records that came, one or a few at once, and does not know whether an answer was lost that said it was done. */
export class CorrectingPerson {
  readonly said: Said[] = [];

  constructor(
    private readonly options: {
      readonly client: PatientClient;
      readonly random: (bound: number) => number;
      readonly senders: readonly NumberedSender[];
      record(): LedgerRecord;
    },
  ) {}

  async run(isOver: () => boolean): Promise<void> {
    const { random } = this.options;
    while (!isOver()) {
      await this.correct();
      await sleep(random(300));
    }
  }

  private async correct(): Promise<void> {
    const { client, random, senders, record } = this.options;
    const asked = Array.from({ length: 1 + random(4) }, (): Said[] => {
      const target = senders[random(senders.length)]!.recordForPerson();
      return target ? [{ target, quantities: random(3) === 0 ? null : record().quantities }] : [];
    }).flat();
    if (asked.length === 0) return;
    const corrections = asked.map(({ target, quantities }) => ({
      ...target,
      ...(quantities === null ? { void: true } : { quantities }),
    }));
    const body = { corrections, reason: 'counted wrongly' };
    // Nobody else speaks of these records: a correction that they have is this one.
    const { status, body: answer } = await client.post('/v1/usage/corrections', body, {
      wanted: 409,
    });
    if (status === 409 && !String(answer['type']).endsWith('record-corrected'))
      client.wrong.push(`a correction was answered ${JSON.stringify(answer)}`);
    this.said.push(...asked);
  }
}
