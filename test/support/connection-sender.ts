import { setTimeout as sleep } from 'node:timers/promises';
import type { PatientClient } from './patient-client.js';
import type { LedgerRecord } from './usage-ledger.js';

type Owner = Pick<LedgerRecord, 'customerId' | 'keyId' | 'apiId' | 'stage' | 'usagePlanId'>;

interface Life {
  readonly id: string;
  readonly owner: Owner;
  readonly openedAt: number;
  readonly closedAt: number;
}

const MINUTE_MS = 60_000;
const BATCHES = 5;

/**
 * A gateway of WebSockets that tells of its connections out of order and twice: a close may come long before its opening,
 * and a heartbeat while the close is missing, whose minutes are counted and have to be taken back.
 */
export class ConnectionSender {
  private readonly lives: Life[] = [];

  constructor(
    private readonly options: {
      readonly client: PatientClient;
      readonly gatewayId: string;
      readonly random: (bound: number) => number;
      readonly owners: readonly Owner[];
    },
  ) {}

  /** Tells until it is told to end; of all that it began it told everything then. */
  async run(isOver: () => boolean): Promise<void> {
    const { random } = this.options;
    for (let n = 0; !isOver(); n += 1) {
      await this.tellEpoch(`connections-${n}`);
      await sleep(random(300));
    }
  }

  /** The minutes that must have been counted: each started one whole, at the instant it started. */
  *minutes(): Generator<LedgerRecord> {
    for (const { owner, openedAt, closedAt } of this.lives) {
      const minutes = Math.max(1, Math.ceil((closedAt - openedAt) / MINUTE_MS));
      for (let minute = 0; minute < minutes; minute += 1)
        yield {
          ...owner,
          at: openedAt + minute * MINUTE_MS,
          method: '$connect',
          resourcePath: '/',
          statusClass: '1xx',
          quantities: { 'connection-minutes': '1' },
        };
    }
  }

  private async tellEpoch(epoch: string): Promise<void> {
    const { client, random, owners } = this.options;
    const lives = Array.from({ length: 1 + random(20) }, (_, n): Life => {
      const openedAt = Date.now() - random(90 * MINUTE_MS) - 10 * MINUTE_MS;
      const owner = owners[random(owners.length)]!;
      return { id: `c${n}`, owner, openedAt, closedAt: openedAt + random(10 * MINUTE_MS) };
    });
    this.lives.push(...lives);
    const openedIn = lives.map(() => random(BATCHES));
    const closedIn = lives.map(() => random(BATCHES));
    const iso = (ms: number) => new Date(ms).toISOString();
    const batches = Array.from({ length: BATCHES }, (_, sequence) => ({
      epoch,
      sequence,
      records: [],
      connections: {
        at: iso(Date.now()),
        opened: lives
          .filter((_life, n) => openedIn[n] === sequence)
          .map(({ id, openedAt, owner: { keyId, apiId, stage } }) => ({
            id,
            at: iso(openedAt),
            keyId,
            apiId,
            stage,
          })),
        closed: lives
          .filter((_life, n) => closedIn[n] === sequence)
          .map(({ id, closedAt }) => ({ id, at: iso(closedAt) })),
      },
    }));
    await Promise.all(
      batches.map(async (batch) => {
        await sleep(random(500));
        const send = () => client.post('/v1/usage/batches', batch);
        await Promise.all(random(5) === 0 ? [send(), send()] : [send()]);
      }),
    );
  }
}
