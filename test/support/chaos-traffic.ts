import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ChaosCollector } from './chaos-collector.js';
import type { ChaosServices, Owner } from './chaos-services.js';
import { collectorProgram } from './collector-process.js';
import { ConnectionSender } from './connection-sender.js';
import { CorrectingPerson } from './correcting-person.js';
import { EventSender } from './event-sender.js';
import { MeteringGateway } from './metering-gateway.js';
import { NumberedSender } from './numbered-sender.js';
import type { LedgerRecord } from './usage-ledger.js';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** Clocks may be wrong by less than the service accepts, five minutes. */
const SKEWS_MS = [-4 * MINUTE_MS, 4 * MINUTE_MS, 3 * MINUTE_MS, -150_000] as const;
/** What a plugin tells when it lost usage. */
const LOSSES: ReadonlySet<string> = new Set([
  'usage-unsent',
  'usage-dropped',
  'batch-refused',
  'batch-conflict',
  'call-unmetered',
]);

interface Setting {
  readonly services: ChaosServices;
  readonly owners: readonly Owner[];
  readonly apiKeys: readonly string[];
  readonly random: (bound: number) => number;
  /** A folder for logs and spools. */
  readonly folder: string;
}

/** A gateway of the Node plugin. One with a spool ends and starts again, and may end while the service is away. */
interface Plugin {
  readonly gateway: MeteringGateway;
  readonly isSpooled: boolean;
}

interface Senders {
  readonly numbered: readonly { readonly id: string; readonly sender: NumberedSender }[];
  readonly plugins: readonly Plugin[];
  readonly collectors: readonly ChaosCollector[];
  readonly events: readonly EventSender[];
  readonly sockets: ConnectionSender;
  readonly person: CorrectingPerson;
}

/**
 * Everybody who reports usage at once, with wrong clocks, twice, late and in any order: numbered gateways and a person who corrects what they sent,
 * Node plugins, collectors of access logs, senders of events, and a gateway of WebSockets. Each knows what it was told to be counted.
 */
export class ChaosTraffic {
  private constructor(
    readonly senders: Senders,
    private readonly owners: readonly Owner[],
    private readonly random: (bound: number) => number,
    private readonly passedLog: readonly LedgerRecord[],
    /** Answers that nobody may give. */
    readonly wrong: () => string[],
  ) {}

  static async of(setting: Setting): Promise<ChaosTraffic> {
    const { services, owners, random } = setting;
    const clients = [services.client(services.api.http.ownerToken)];
    const numbered = await Promise.all(
      ['first', 'second'].map(async (name, n) => {
        const { id, client } = await services.gateway(name);
        clients.push(client);
        const record = () => aRecord(setting, SKEWS_MS[n] ?? 0);
        return { id, sender: new NumberedSender({ client, gatewayId: id, random, record }) };
      }),
    );
    const events = await Promise.all(
      ['east', 'west'].map(async (name, n) => {
        const { client } = await services.gateway(name);
        clients.push(client);
        const customerIds = owners.map(({ customerId }) => customerId);
        return new EventSender({ client, name, random, customerIds, skewMs: SKEWS_MS[n] ?? 0 });
      }),
    );
    const { id: gatewayId, client } = await services.gateway('sockets');
    clients.push(client);
    const passedLog: LedgerRecord[] = [];
    const senders = {
      numbered,
      plugins: await plugins(setting),
      collectors: await collectors(setting, (record) => passedLog.push(record)),
      events,
      sockets: new ConnectionSender({ client, gatewayId, random, owners }),
      person: new CorrectingPerson({
        client: clients[0]!,
        random,
        senders: numbered.map(({ sender }) => sender),
        record: () => aRecord(setting, 0),
      }),
    };
    const wrong = () => clients.flatMap((one) => one.wrong);
    return new ChaosTraffic(senders, owners, random, passedLog, wrong);
  }

  /** Lets all of them report until it is over; all that they began is acknowledged then. */
  async run(isOver: () => boolean): Promise<void> {
    const { numbered, plugins: gateways, collectors: logs, events, sockets, person } = this.senders;
    for (const { gateway } of gateways) await gateway.start();
    await Promise.all([
      ...numbered.map(({ sender }) => sender.run(isOver)),
      ...events.map((sender) => sender.run(isOver)),
      ...logs.map((collector) => collector.run(isOver)),
      ...gateways
        .filter(({ isSpooled }) => isSpooled)
        .map(({ gateway }) => this.restarts(gateway, isOver)),
      sockets.run(isOver),
      person.run(isOver),
    ]);
    for (const { gateway } of gateways) await gateway.stop();
    // What the last life of the plugin left in its spool is the next one's.
    for (const { gateway, isSpooled } of gateways) {
      if (!isSpooled) continue;
      await gateway.start({ clients: 0, closeTimeoutMs: 120_000 });
      await gateway.stop();
    }
    for (const collector of logs) await collector.finish();
  }

  kill(): void {
    for (const { gateway } of this.senders.plugins) gateway.kill();
  }

  /** What plugins lost, by what they told. */
  losses(): unknown[] {
    return this.senders.plugins
      .flatMap(({ gateway }) => gateway.events)
      .filter((event) => LOSSES.has(event.type) && !('isSpooled' in event && event.isSpooled));
  }

  /** What must be counted of all but the numbered gateways. */
  unnumbered(): LedgerRecord[] {
    const { plugins: gateways, sockets } = this.senders;
    const passed = gateways.flatMap(({ gateway }) => gateway.passed());
    const calls = passed.map(
      ({ at, keyId, method, resourcePath, status, bytes }): LedgerRecord => ({
        ...ownerOf(this.owners, keyId),
        method,
        resourcePath,
        statusClass: `${Math.floor(status / 100)}xx`,
        at,
        quantities: { calls: '1', 'bytes-out': String(bytes) },
      }),
    );
    return [...this.passedLog, ...calls, ...sockets.minutes()];
  }

  /** Ends the gateway in order and starts it again, over the same spool. */
  private async restarts(gateway: MeteringGateway, isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      await sleep(1_000 + this.random(4_000));
      await gateway.stop();
      await gateway.start();
    }
  }
}

/** A record that the service accepts from a gateway whose clock is wrong: mostly of now, some of hours ago. */
function aRecord({ owners, random }: Setting, skewMs: number): LedgerRecord {
  const owner = owners[random(owners.length)]!;
  const at = Date.now() + skewMs - random(random(3) === 0 ? 30 * HOUR_MS : 20 * MINUTE_MS);
  return {
    ...owner,
    at: random(4) === 0 ? Math.floor(at / (15 * MINUTE_MS)) * 15 * MINUTE_MS : at,
    method: ['GET', 'POST'][random(2)]!,
    resourcePath: ['/pets', '/pets/{petId}', '/größe'][random(3)]!,
    statusClass: ['2xx', '4xx', '5xx'][random(3)]!,
    quantities: {
      calls: String(1 + random(9)),
      ...(random(2) === 0 ? { 'bytes-out': String(random(2 ** 30)) } : {}),
      ...(random(4) === 0 ? { 'cache-gb-hours': `${random(9)}.${random(999_999)}1` } : {}),
    },
  };
}

const plugins = ({ services, owners, apiKeys, folder }: Setting): Promise<Plugin[]> =>
  Promise.all(
    ['with a spool', 'in memory'].map(async (name, n) => {
      const { token } = await services.gateway(name);
      const isSpooled = n === 0;
      const { apiId, stage } = owners[0]!;
      const gateway = new MeteringGateway(join(folder, `passed-${n}`), {
        url: services.api.url,
        token,
        apiId,
        stage,
        clients: 3,
        flushIntervalMs: 100,
        apiKeys,
        skewMs: SKEWS_MS[n + 2] ?? 0,
        closeTimeoutMs: isSpooled ? 500 : 120_000,
        ...(isSpooled ? { spoolDir: join(folder, 'spool') } : {}),
      });
      return { gateway, isSpooled };
    }),
  );

async function collectors(
  { services, owners, random, folder }: Setting,
  onPassed: (record: LedgerRecord) => void,
): Promise<ChaosCollector[]> {
  const program = await collectorProgram();
  const { apiId, stage } = owners[0]!;
  return Promise.all(
    ['a.log', 'b.log'].map(async (name) => {
      const { token } = await services.gateway(name);
      return new ChaosCollector({
        program,
        random,
        path: join(folder, name),
        apiId,
        stage,
        service: { url: services.api.url, token },
        keyIds: owners.map(({ keyId }) => keyId),
        onPassed: ({ at, keyId, bytesOut }) =>
          onPassed({
            ...ownerOf(owners, keyId),
            method: 'GET',
            resourcePath: '/pets/{petId}',
            statusClass: '2xx',
            at,
            quantities: { calls: '1', 'bytes-out': String(bytesOut) },
          }),
      });
    }),
  );
}

const ownerOf = (owners: readonly Owner[], keyId: string): Owner =>
  owners.find((owner) => owner.keyId === keyId)!;
