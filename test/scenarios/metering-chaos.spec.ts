import { randomInt } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { afterFile } from '../support/after-file.js';
import { allPages } from '../support/all-pages.js';
import { ChaosServices, someOwners, type Owner } from '../support/chaos-services.js';
import { ChaosTraffic } from '../support/chaos-traffic.js';
import { controlPlane } from '../support/control-plane.js';
import { CorrectedUsage, CORRECTIONS } from '../support/corrected-usage.js';
import { CHAOS_METERS, countedEvents } from '../support/event-sender.js';
import {
  allRolledUp,
  difference,
  eventUsage,
  expectProven,
  expectSame,
  incidents,
  openGaps,
} from '../support/metered-usage.js';
import { quarantined, settleQuarantine } from '../support/quarantine.js';
import { randomNumbers } from '../support/random.js';
import { isSaid, neverComes } from '../support/sayings.js';
import {
  recordLines,
  RECORDS,
  ROLLED_UP,
  UNTRUE,
  UsageLedger,
  type LedgerRecord,
} from '../support/usage-ledger.js';

/** A full run by hand: `KILLS=50 npm test -- test/scenarios/metering-chaos.spec.ts`. */
const KILLS = Number(process.env['KILLS'] ?? (process.env['CI'] ? 3 : 6));
/** The same seed kills the same victims after the same pauses. */
const SEED = Number(process.env['SEED'] ?? randomInt(2 ** 31));
const TIMEOUT = { timeout: 240_000 + KILLS * 25_000 };
const SETTLED = { timeout: 60_000, interval: 250 };

const random = randomNumbers(SEED);
const folder = mkdtempSync(join(tmpdir(), 'tollgate-chaos-'));
let services: ChaosServices;
let owners: Owner[];
let traffic: ChaosTraffic;

beforeAll(async () => {
  afterFile(() => rmSync(folder, { recursive: true, force: true }));
  services = await ChaosServices.start();
  const { apiKeys, ...made } = await someOwners(services, 4);
  owners = made.owners;
  for (const meter of CHAOS_METERS) await controlPlane(services.api.http).meter(meter);
  traffic = await ChaosTraffic.of({ services, owners, apiKeys, random, folder });
  afterFile(() => traffic.kill());
});

describe(`${KILLS} times kill -9 of api, worker and PostgreSQL amid metering (SEED=${SEED})`, () => {
  it(
    'counts what was acknowledged, record by record and as it was corrected, and says what is missing',
    TIMEOUT,
    async () => {
      let isOver = false;
      await Promise.all([
        traffic.run(() => isOver),
        services.killAtRandom(KILLS, random).finally(() => (isOver = true)),
      ]);
      expect(traffic.wrong()).toEqual([]);
      expect(traffic.losses()).toEqual([]);
      await expectEqual({ replayed: null, isGivenUp: false });

      const { http } = services.api;
      const { numbered, events } = traffic.senders;
      expectSame(await eventUsage(services), countedEvents(events.flatMap(({ sent }) => sent)));
      const withheld = numbered.flatMap(({ sender }) => sender.gaps());
      expect(await openGaps(services)).toEqual(withheld.toSorted());
      const tried = numbered.flatMap(({ sender }) => [...sender.conflicts]);
      expectSame(await incidents(services), tried.toSorted());

      const finalise = await aDraft(owners[0]!);
      expect(await finalise()).toMatch(/409 .*usage-gap-open$/);
      for (const { sender } of numbered) await sender.deliverWithheld();
      expect(traffic.wrong()).toEqual([]);
      expect(await openGaps(services)).toEqual([]);
      await expectEqual({ replayed: null, isGivenUp: false });

      expect(await finalise()).toMatch(/409 .*usage-quarantined$/);
      const bad = sent().flatMap(({ isBad, place, record }): [string, LedgerRecord][] =>
        isBad && !isSaid(record) ? [[place, record]] : [],
      );
      const replayed = await settleQuarantine(http, new Map(bad));
      await expectEqual({ replayed, isGivenUp: false });

      expect(await finalise()).toMatch(/409 .*usage-correction-waiting$/);
      await giveUpOnCorrections();
      await expectEqual({ replayed, isGivenUp: true });
      expect(await finalise()).toMatch(/^200/);
      report({ withheld: withheld.length, bad: bad.length, conflicts: tried.length });
    },
  );
});

/** All that numbered gateways sent and had acknowledged. */
const sent = () => traffic.senders.numbered.flatMap(({ sender }) => sender.sent());

/** Places of what is said of a record that had a correction already, once and for ever as the service chose. */
const secondOnes = new Set<string>();

/** Roll-ups, records, corrections and the quarantine are what comes to by hand. */
async function expectEqual(persons: {
  readonly replayed: ReadonlyMap<string, LedgerRecord> | null;
  readonly isGivenUp: boolean;
}): Promise<void> {
  const open = await quarantined(services.api.http);
  for (const { place, reason } of open) if (reason === 'already-corrected') secondOnes.add(place);
  const { numbered, person } = traffic.senders;
  const byPersons = person.said;
  const counted = new CorrectedUsage({ sent: sent(), byPersons, secondOnes, ...persons });
  expect(counted.wrongChoices()).toEqual([]);
  const bad = sent().flatMap(({ isBad, place }) => (isBad ? [place] : []));
  expectSame(
    open.map(({ place }) => place),
    persons.replayed ? [] : [...bad, ...secondOnes],
  );

  const said = counted.lines();
  await expect
    .poll(async () => difference(await services.lines(CORRECTIONS), said), SETTLED)
    .toEqual({ missing: [], tooMuch: [], lines: said.length });
  await allRolledUp(services);
  const ledger = new UsageLedger();
  for (const record of [...counted.records(), ...traffic.unnumbered()]) ledger.add(record);
  expectSame(await services.lines(ROLLED_UP), ledger.lines());
  const rows = sent().flatMap(({ place, record, isBad }) =>
    isBad || isSaid(record) ? [] : recordLines(place, record),
  );
  expectSame(await services.lines(RECORDS, [numbered.map(({ id }) => id)]), rows);
  expect(await services.lines(UNTRUE)).toEqual([]);
  await expectProven(services);
}

/** Drops the corrections of what never comes. */
async function giveUpOnCorrections(): Promise<void> {
  const { http } = services.api;
  const waiting = await allPages<{ id: string; targetEpoch: string }>(
    http,
    '/v1/usage/corrections?state=waiting',
  );
  for (const { id, targetEpoch } of waiting) {
    if (!neverComes(targetEpoch)) continue;
    const path = `/v1/usage/corrections/${id}/drop`;
    const { status } = await http.call('POST', path, { body: { reason: 'never comes' } });
    expect(status).toBe(200);
  }
}

/** Lets the month of a new subscription end; finalises its draft, and says how that was answered. */
async function aDraft({ customerId, usagePlanId }: Owner): Promise<() => Promise<string>> {
  const { http } = services.api;
  const now = new Date();
  const startsAt = new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), 1)).toISOString();
  const rateCardId = 'amazon-api-gateway-us-east-1';
  await controlPlane(http).subscription({ customerId, usagePlanId, rateCardId, startsAt });
  const after = new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + 1, 2)).toISOString();
  const moved = await http.call('POST', '/v1/test-clock', { body: { now: after } });
  expect(moved.status).toBeLessThan(300);
  const drafts = () => allPages<{ id: string }>(http, `/v1/invoices?customerId=${customerId}`);
  await expect.poll(drafts, { timeout: 30_000 }).toHaveLength(1);
  const [draft] = await drafts();
  return async () => {
    const { status, body } = await http.call('POST', `/v1/invoices/${draft!.id}/finalise`);
    return `${status} ${String(body['type'])}`;
  };
}

function report(found: Readonly<Record<string, number>>): void {
  const { numbered, collectors, events, plugins, sockets, person } = traffic.senders;
  const all = {
    batches: numbered.flatMap(({ sender }) => sender.acknowledged).length,
    'lines and calls': traffic.unnumbered().length,
    events: events.flatMap((sender) => sender.sent).length,
    corrections: sent().filter(({ record }) => isSaid(record)).length,
    'second ones': secondOnes.size,
    'by a person': person.said.length,
    'minutes of connections': [...sockets.minutes()].length,
    'kills of collectors': collectors.reduce((sum, { kills }) => sum + kills, 0),
    'gateways with a plugin': plugins.length,
    ...found,
  };
  const text = Object.entries(all).map(([what, count]) => `${count} ${what}`);
  console.log(`SEED=${SEED}: ${KILLS} kills, ${text.join(', ')}`);
}
