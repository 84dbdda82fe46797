import { createHash } from 'node:crypto';
import type { ExchangeOutcome } from '@core/billing';
import { Config, Database, SystemClock } from '@io/platform';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { afterFile } from '../../../../../test/support/after-file.js';
import { createTestDatabase } from '../../../../../test/support/database.js';
import { anExchange, type ExchangeRow } from '../../../../../test/support/exchanges.js';
import { aCustomer, anAccount } from '../../../../../test/support/factories.js';
import { ClaimLost, ExchangeQueueRepository } from './exchange-queue.repository.js';
import { ExchangeRunnerService, type ExchangeClaim } from './exchange-runner.service.js';

/** A clock that stands until it is moved. */
class StandingClock extends SystemClock {
  at = new Date();
  override now(): Date {
    return this.at;
  }
  override nowMs(): number {
    return this.at.getTime();
  }
  pass(ms: number): void {
    this.at = new Date(this.at.getTime() + ms);
  }
}

const SENT: ExchangeOutcome = { kind: 'sent' };
const ACTS = ['push-invoice'];
const LANES = { lanes: Array.from({ length: 4 }, () => ACTS) };
const RATE = 1_000_000;
const PACE = { callsPerSecond: RATE, kind: 'read', kindPerSecond: RATE };
const LEASE_MS = 90_000;

let db: Database;
let queue: ExchangeQueueRepository;
let clock: StandingClock;
let runner: ExchangeRunnerService;
let accountId: string;
/** Each test has a remote service of its own. */
let target: string;
let targets = 0;

beforeAll(async () => {
  const settings = { TOLLGATE_SECRET: 'k1:MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXY=' };
  db = new Database(new Config({ DATABASE_URL: await createTestDatabase(), ...settings }));
  afterFile(() => db.onApplicationShutdown());
  queue = new ExchangeQueueRepository(db);
});

beforeEach(async () => {
  clock = new StandingClock();
  runner = new ExchangeRunnerService(queue, clock);
  accountId = (await anAccount(db.pool)).id;
  target = `remote-${(targets += 1)}`;
});

const add = (row: Partial<ExchangeRow> = {}) =>
  anExchange(db, { accountId, target, createdAt: clock.now(), ...row });
const aPayer = async () => (await aCustomer(db.pool, { account_id: accountId })).id;
const statusOf = async (id: string) =>
  (await db.exchange.findUniqueOrThrow({ where: { id } })).status;

describe('several workers', () => {
  it('perform each exchange once, one at a time for each customer, and in order', async () => {
    const customers = await Promise.all(Array.from({ length: 5 }, aPayer));
    const order: Record<string, string[]> = {};
    for (const customerId of customers) {
      for (let n = 0; n < 8; n += 1) {
        const id = await add({ customerId });
        (order[customerId] ??= []).push(id);
      }
    }
    const performed: Record<string, string[]> = {};
    const busy = new Set<string>();
    const perform = async ({ exchange, turn }: ExchangeClaim): Promise<ExchangeOutcome> => {
      const customerId = exchange.customerId ?? '';
      expect(busy.has(customerId)).toBe(false);
      busy.add(customerId);
      await turn(PACE);
      (performed[customerId] ??= []).push(exchange.id);
      busy.delete(customerId);
      return SENT;
    };
    // A lane ends when nothing is free for it; the schedule brings the next.
    for (let done = 0; done < 40;) {
      const rounds = await Promise.all([
        runner.run(target, perform, LANES),
        new ExchangeRunnerService(queue, clock).run(target, perform, LANES),
      ]);
      done += rounds[0] + rounds[1];
    }
    expect(performed).toEqual(order);
    expect(await db.exchangeAttempt.count({ where: { accountId, outcome: 'sent' } })).toBe(40);
  });

  it('call no faster than the rate of the account, all together', async () => {
    for (let n = 0; n < 6; n += 1) await add();
    const begun = clock.now().getTime();
    const turns: Date[] = [];
    for (let claimed = await queue.claim(target, ACTS, clock.now()); claimed;) {
      turns.push(await queue.turn(claimed, { ...PACE, callsPerSecond: 20 }, clock.now()));
      claimed = await queue.claim(target, ACTS, clock.now());
    }
    expect(turns.map((at) => at.getTime() - begun)).toEqual([0, 50, 100, 150, 200, 250]);
  });
});

describe('calls of one kind', () => {
  it('come no faster than the remote takes of that kind, and leave the others their pace', async () => {
    await add();
    const claimed = await queue.claim(target, ACTS, clock.now());
    if (!claimed) throw new Error('It was there.');
    const begun = clock.now().getTime();
    const turn = async (kind: string) => {
      const pace = { callsPerSecond: 100, kind, kindPerSecond: 25 };
      return (await queue.turn(claimed, pace, clock.now())).getTime() - begun;
    };
    expect([await turn('pay'), await turn('pay'), await turn('pay')]).toEqual([0, 40, 80]);
    expect([await turn('read'), await turn('read')]).toEqual([30, 40]);
  });
});

describe('what is due', () => {
  it('is taken by its act, in the order that a lane prefers, and then by its age', async () => {
    for (const act of ['push', 'push', 'collect', 'push']) await add({ act });
    const taken = async (...acts: string[]) =>
      (await queue.claim(target, acts, clock.now()))?.act ?? null;
    expect(await taken('collect', 'push')).toBe('collect');
    expect(await taken('collect', 'push')).toBe('push');
    expect(await taken('collect')).toBeNull();
    expect(await taken('push', 'collect')).toBe('push');
  });

  it('is looked for anew before each, so that a long run does what came meanwhile', async () => {
    const performed: string[] = [];
    let looks = 0;
    await add();
    const before = async () => {
      looks += 1;
      if (looks === 2) await add();
    };
    const perform = ({ exchange }: ExchangeClaim) => {
      performed.push(exchange.id);
      return Promise.resolve(SENT);
    };
    await runner.run(target, perform, { lanes: [ACTS], before });
    expect({ looks, performed: performed.length }).toEqual({ looks: 3, performed: 2 });
  });
});

describe('a worker that dies', () => {
  it('leaves what it had to another when its claim runs out, with what the remote made', async () => {
    const id = await add();
    const dead = await queue.claim(target, ACTS, clock.now());
    if (!dead) throw new Error('It was there.');
    await queue.remember(dead, { remoteId: 'in_1' });
    expect(await queue.claim(target, ACTS, clock.now())).toBeNull();
    clock.pass(LEASE_MS + 1);
    const seen: (string | null)[] = [];
    await runner.run(
      target,
      ({ exchange }) => {
        seen.push(exchange.remoteId);
        return Promise.resolve(SENT);
      },
      LANES,
    );
    expect({ seen, status: await statusOf(id) }).toEqual({ seen: ['in_1'], status: 'sent' });
  });

  it('that was only slow calls nobody any more, and writes nothing', async () => {
    const id = await add();
    const slow = await queue.claim(target, ACTS, clock.now());
    clock.pass(LEASE_MS + 1);
    const other = await queue.claim(target, ACTS, clock.now());
    if (!slow || !other) throw new Error('It was there.');
    await expect(queue.turn(slow, PACE, clock.now())).rejects.toThrow(ClaimLost);
    await expect(queue.remember(slow, { remoteId: 'in_2' })).rejects.toThrow(ClaimLost);
    const at = { begun: clock.now(), ended: clock.now(), next: null };
    await queue.record(slow, { kind: 'refused', fault: 'late' }, at);
    expect(await statusOf(id)).toBe('sending');
    await queue.record(other, SENT, at);
    expect(await statusOf(id)).toBe('sent');
    expect(await db.exchangeAttempt.count({ where: { exchangeId: id } })).toBe(1);
  });

  it('keeps its claim for as long as it calls', async () => {
    await add();
    const claimed = await queue.claim(target, ACTS, clock.now());
    if (!claimed) throw new Error('It was there.');
    for (let n = 0; n < 3; n += 1) {
      clock.pass(LEASE_MS - 1);
      await queue.turn(claimed, PACE, clock.now());
      expect(await queue.claim(target, ACTS, clock.now())).toBeNull();
    }
  });
});

describe('what fails', () => {
  const fails = (outcome: ExchangeOutcome) =>
    runner.run(target, () => Promise.resolve(outcome), LANES);

  it('is tried again after a pause, holds its customer back, and says why', async () => {
    const customerId = await aPayer();
    const first = await add({ customerId });
    const second = await add({ customerId });
    expect(await fails({ kind: 'failed', fault: '503' })).toBe(1);
    expect([await statusOf(first), await statusOf(second)]).toEqual(['failed', 'pending']);
    expect(await fails(SENT)).toBe(0);
    clock.pass(3_000);
    await fails(SENT);
    expect([await statusOf(first), await statusOf(second)]).toEqual(['sent', 'sent']);
    const log = await db.exchangeAttempt.findMany({ where: { exchangeId: first } });
    expect(log.map(({ outcome, fault }) => [outcome, fault])).toEqual([
      ['failed', '503'],
      ['sent', null],
    ]);
  });

  it('throws, and is tried again', async () => {
    const id = await add();
    await runner.run(target, () => Promise.reject(new Error('socket hang up')), LANES);
    const row = await db.exchange.findUniqueOrThrow({ where: { id } });
    expect(row).toMatchObject({ status: 'failed', fault: 'socket hang up' });
  });

  it('is dead when it is refused, or after three days: a person has to look at it', async () => {
    const refused = await add();
    await fails({ kind: 'refused', fault: 'no such customer' });
    const weary = await add();
    let attempts = 0;
    while ((await statusOf(weary)) !== 'dead') {
      attempts += await fails({ kind: 'failed', fault: '503' });
      clock.pass(4_600_000);
    }
    expect({ attempts, status: await statusOf(refused) }).toEqual({ attempts: 84, status: 'dead' });
  });

  it('and is dead keeps back what builds on it, and nothing else of the customer', async () => {
    const customerId = await aPayer();
    const push = await add({ customerId, chain: 'inv_1' });
    await fails({ kind: 'refused', fault: 'x' });
    const other = await add({ customerId, chain: 'inv_2' });
    const credit = await add({ customerId, chain: 'inv_1' });
    await fails(SENT);
    expect([await statusOf(push), await statusOf(other), await statusOf(credit)]).toEqual([
      'dead',
      'sent',
      'pending',
    ]);
  });

  it('for the pace lets the account wait, and not the others', async () => {
    await add();
    const elsewhere = (await anAccount(db.pool)).id;
    await add({ accountId: elsewhere });
    const [one, two] = [
      await queue.claim(target, ACTS, clock.now()),
      await queue.claim(target, ACTS, clock.now()),
    ];
    if (!one || !two) throw new Error('They were there.');
    await queue.pause(one, new Date(clock.now().getTime() + 5_000));
    const waits = async (claimed: typeof one) =>
      (await queue.turn(claimed, { ...PACE, callsPerSecond: 10 }, clock.now())).getTime() -
      clock.now().getTime();
    expect([await waits(one), await waits(two)]).toEqual([5_000, 0]);
  });
});

it('sends nothing else under an exchange than it sent first', async () => {
  await add();
  const hash = (text: string) => createHash('sha256').update(text).digest();
  const answers: boolean[] = [];
  const perform =
    (text: string) =>
    async ({ sends }: ExchangeClaim): Promise<ExchangeOutcome> => {
      answers.push(await sends(hash(text)));
      return { kind: 'failed', fault: 'again' };
    };
  for (const text of ['a', 'a', 'b']) {
    await runner.run(target, perform(text), LANES);
    clock.pass(60_000);
  }
  expect(answers).toEqual([true, true, false]);
});
