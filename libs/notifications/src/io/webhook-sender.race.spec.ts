import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  Config,
  Database,
  EgressClient,
  Keyring,
  SystemClock,
  type EgressAnswer,
  type EgressRequest,
} from '@io/platform';
import { RETRY_PAUSES_MS } from '@core/notifications';
import { Webhook } from 'standardwebhooks';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { afterFile } from '../../../../test/support/after-file.js';
import { createTestDatabase } from '../../../../test/support/database.js';
import { anAccount } from '../../../../test/support/factories.js';
import { publishEvents } from './publish-events.js';
import { WebhookDeliveriesRepository } from './webhook-deliveries.repository.js';
import { WebhookEndpointsRepository } from './webhook-endpoints.repository.js';
import { WebhookSenderService } from './webhook-sender.service.js';

const SECRET = 'k1:MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXY=';
const DAY_MS = 86_400_000;

/** A clock that stands until it is moved. */
class StandingClock extends SystemClock {
  at = new Date();
  override now(): Date {
    return this.at;
  }
  pass(ms: number): void {
    this.at = new Date(this.at.getTime() + ms);
  }
}

/** As if the receiver were at a public address. */
class PublicEgress extends EgressClient {
  override async post(url: string, request: EgressRequest): Promise<EgressAnswer> {
    return { ...(await super.post(url, request)), isPublic: true };
  }
}

interface Received {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

let config: Config;
let db: Database;
let clock: StandingClock;
let endpoints: WebhookEndpointsRepository;
let deliveries: WebhookDeliveriesRepository;
let sender: WebhookSenderService;
let receiverUrl: string;
let received: Received[];
/** What the receiver answers. */
let answer: { status: number; body: string; headers?: Record<string, string> };

const aSender = () =>
  new WebhookSenderService(deliveries, endpoints, new EgressClient(config), clock);

beforeAll(async () => {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      received.push({
        path: request.url ?? '',
        headers: request.headers,
        body: Buffer.concat(chunks).toString(),
      });
      response.writeHead(answer.status, answer.headers).end(answer.body);
    });
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.2', resolve));
  afterFile(() => void server.close());
  receiverUrl = `http://127.0.0.2:${(server.address() as AddressInfo).port}`;
  config = new Config({
    DATABASE_URL: await createTestDatabase(),
    TOLLGATE_SECRET: SECRET,
    EGRESS_ALLOW_HTTP: 'on',
    EGRESS_PORTS: 'any',
    EGRESS_ALLOW_CIDRS: '127.0.0.2/32',
  });
  db = new Database(config);
  afterFile(() => db.onApplicationShutdown());
  endpoints = new WebhookEndpointsRepository(db, new Keyring(config));
  deliveries = new WebhookDeliveriesRepository(db);
});

beforeEach(() => {
  clock = new StandingClock();
  sender = aSender();
  received = [];
  answer = { status: 204, body: '' };
});

// What one test leaves waiting is not the next one's.
afterEach(() => db.pool.query('DELETE FROM webhook_endpoint'));

let subjects = 0;

async function aScope() {
  return { accountId: (await anAccount(db.pool)).id, principalId: 'tok_test' };
}

type Scope = Awaited<ReturnType<typeof aScope>>;

const anEndpoint = (scope: Scope, settings: { url?: string; eventTypes?: string[] } = {}) =>
  endpoints.create(scope, { url: `${receiverUrl}/hook`, ...settings }, clock.now());

async function tell({ accountId }: Scope, type = 'usage.alert.crossed' as const): Promise<string> {
  const subjectId = `alc_${(subjects += 1)}`;
  const event = { accountId, type, subjectId, at: clock.now(), data: { quantity: '1' } };
  await db.$transaction((tx) => publishEvents(tx, [event], clock.now()));
  const { rows } = await db.pool.query('SELECT id FROM webhook_event WHERE subject_id = $1', [
    subjectId,
  ]);
  return rows[0].id;
}

const statuses = async (endpointId: string) => {
  const { rows } = await db.pool.query(
    'SELECT status FROM webhook_delivery WHERE endpoint_id = $1 ORDER BY created_at, event_id',
    [endpointId],
  );
  return rows.map(({ status }) => status);
};

describe('sending', () => {
  it('delivers once what was told, signed so that the library of Standard Webhooks accepts it', async () => {
    const scope = await aScope();
    const { secret } = await anEndpoint(scope);
    const eventId = await tell(scope);
    expect(await sender.sendDue()).toBe(1);
    expect(await sender.sendDue()).toBe(0);
    const [one] = received;
    expect(new Webhook(secret).verify(one!.body, one!.headers as Record<string, string>)).toEqual({
      id: eventId,
      type: 'usage.alert.crossed',
      timestamp: clock.now().toISOString(),
      accountId: scope.accountId,
      data: { quantity: '1' },
    });
    expect(one!.headers).toMatchObject({
      'webhook-id': eventId,
      'content-type': 'application/json',
    });
  });

  it('tells nothing twice that is told twice, and nothing that was rolled back', async () => {
    const scope = await aScope();
    await anEndpoint(scope);
    const event = {
      accountId: scope.accountId,
      type: 'usage.alert.crossed',
      subjectId: 'alc_same',
      at: clock.now(),
      data: {},
    } as const;
    const rolledBack = db.$transaction(async (tx) => {
      await publishEvents(tx, [event], clock.now());
      throw new Error('crash');
    });
    await expect(rolledBack).rejects.toThrow('crash');
    expect(await sender.sendDue()).toBe(0);
    await Promise.all(
      [1, 2, 3].map(() => db.$transaction((tx) => publishEvents(tx, [event], clock.now()))),
    );
    expect(await sender.sendDue()).toBe(1);
  });

  it('goes to endpoints of the account that want the type and are not disabled, and to no other', async () => {
    const [scope, other] = [await aScope(), await aScope()];
    await anEndpoint(scope, { url: `${receiverUrl}/all` });
    await anEndpoint(scope, { url: `${receiverUrl}/it`, eventTypes: ['usage.alert.crossed'] });
    await anEndpoint(scope, {
      url: `${receiverUrl}/not`,
      eventTypes: ['webhook-endpoint.disabled'],
    });
    await anEndpoint(other, { url: `${receiverUrl}/other` });
    const off = await anEndpoint(scope, { url: `${receiverUrl}/off` });
    await endpoints.update(
      scope,
      off.id,
      { isDisabled: true },
      { ifMatch: null, now: clock.now() },
    );
    await tell(scope);
    await sender.sendDue();
    expect(received.map(({ path }) => path).sort()).toEqual(['/all', '/it']);
  });

  it('signs with the old secret too until it expires', async () => {
    const scope = await aScope();
    const { id, secret: old } = await anEndpoint(scope);
    const now = clock.now();
    const overlapTo = new Date(now.getTime() + DAY_MS);
    const { secret } = await endpoints.rotateSecret(scope, id, { now, overlapTo });
    await tell(scope);
    await sender.sendDue();
    expect(received[0]!.headers['webhook-signature']).toMatch(/^v1,\S+ v1,\S+$/);
    for (const one of [old, secret])
      new Webhook(one).verify(received[0]!.body, received[0]!.headers as Record<string, string>);
    clock.pass(DAY_MS);
    await tell(scope);
    await sender.sendDue();
    expect(received[1]!.headers['webhook-signature']).toMatch(/^v1,\S+$/);
  });

  it('sends each of many events once, though six workers send', async () => {
    const scope = await aScope();
    for (let n = 0; n < 20; n += 1) await anEndpoint(scope, { url: `${receiverUrl}/${n}` });
    for (let n = 0; n < 6; n += 1) await tell(scope);
    await Promise.all(Array.from({ length: 6 }, () => aSender().sendDue()));
    // What one had in hand while another looked is found by the next wake-up.
    await sender.sendDue();
    const ids = received.map(({ path, headers }) => `${path} ${String(headers['webhook-id'])}`);
    expect(ids).toHaveLength(120);
    expect(new Set(ids).size).toBe(120);
  });

  it('takes over from a worker that crashed, after a minute, and lets a late one change nothing', async () => {
    const scope = await aScope();
    const { id } = await anEndpoint(scope);
    const eventId = await tell(scope);
    const [crashed] = await deliveries.claim(clock.now());
    expect(await sender.sendDue()).toBe(0);
    clock.pass(60_000);
    expect(await sender.sendDue()).toBe(1);
    expect(received[0]!.headers['webhook-id']).toBe(eventId);
    const late = { at: clock.now(), endedAt: clock.now(), latencyMs: 1, status: 500, fault: null };
    await deliveries.recordAttempt(crashed!, {
      ...late,
      excerpt: null,
      isDelivered: false,
      nextAttemptAt: clock.now(),
    });
    expect(await statuses(id)).toEqual(['delivered']);
    const log = await deliveries.attempts(scope, { endpointId: id, eventId });
    expect(log?.map(({ attempt, status }) => ({ attempt, status }))).toEqual([
      { attempt: 2, status: 204 },
      { attempt: 1, status: 500 },
    ]);
  });
});

describe('failures', () => {
  it('are tried again by the schedule, given up after the tenth, and sent by a replay with the same id', async () => {
    const scope = await aScope();
    const { id } = await anEndpoint(scope);
    const eventId = await tell(scope);
    answer = { status: 500, body: 'no' };
    for (const [tries, pauseMs] of RETRY_PAUSES_MS.entries()) {
      expect(await sender.sendDue()).toBe(1);
      expect(received).toHaveLength(tries + 1);
      clock.pass(pauseMs * 0.79);
      expect(await sender.sendDue(), `less than pause ${tries}`).toBe(0);
      clock.pass(pauseMs * 0.42);
    }
    expect(await statuses(id)).toEqual(['pending']);
    expect(await sender.sendDue()).toBe(1);
    expect(await statuses(id)).toEqual(['dead']);
    clock.pass(10 * DAY_MS);
    expect(await sender.sendDue()).toBe(0);
    const log = await deliveries.attempts(scope, { endpointId: id, eventId });
    expect(log).toHaveLength(10);
    expect(log?.[0]).toMatchObject({ attempt: 10, status: 500, fault: null, excerpt: null });

    answer = { status: 200, body: 'yes' };
    expect(await deliveries.replay(scope, id, { eventId }, clock.now())).toBe(1);
    expect(await sender.sendDue()).toBe(1);
    expect(await statuses(id)).toEqual(['delivered']);
    expect(new Set(received.map(({ headers }) => headers['webhook-id']))).toEqual(
      new Set([eventId]),
    );
    const stamps = received.map(({ headers }) => Number(headers['webhook-timestamp']));
    expect(stamps).toEqual(stamps.toSorted((a, b) => a - b));
  });

  it('wait longer when the receiver asks for it', async () => {
    const scope = await aScope();
    await anEndpoint(scope);
    await tell(scope);
    answer = { status: 503, body: '', headers: { 'retry-after': '600' } };
    await sender.sendDue();
    clock.pass(599_000);
    expect(await sender.sendDue()).toBe(0);
    clock.pass(1_000);
    expect(await sender.sendDue()).toBe(1);
  });

  it('of an endpoint that is not there have a class in the log, and nothing of the socket', async () => {
    const scope = await aScope();
    const { id } = await anEndpoint(scope, { url: 'http://127.0.0.1:9/' });
    const eventId = await tell(scope);
    await sender.sendDue();
    expect(await deliveries.attempts(scope, { endpointId: id, eventId })).toMatchObject([
      { status: null, fault: 'url-refused', excerpt: null },
    ]);
  });

  it('keep the start of a public answer without secrets, and nothing of a private one', async () => {
    const scope = await aScope();
    const { id, secret } = await anEndpoint(scope);
    answer = { status: 500, body: `bad secret ${secret}\u0000 ${'x'.repeat(5_000)}` };
    const eventId = await tell(scope);
    await new WebhookSenderService(
      deliveries,
      endpoints,
      new PublicEgress(config),
      clock,
    ).sendDue();
    clock.pass(10_000);
    await sender.sendDue();
    const log = await deliveries.attempts(scope, { endpointId: id, eventId });
    expect(log?.[0]?.excerpt).toBeNull();
    expect(log?.[1]?.excerpt).toMatch(/^bad secret \[secret\] x+$/);
    expect(log?.[1]?.excerpt?.length).toBeLessThanOrEqual(1_024);
  });

  it('disable an endpoint that says it is gone, and the others are told', async () => {
    const scope = await aScope();
    const { id } = await anEndpoint(scope, { eventTypes: ['usage.alert.crossed'] });
    await tell(scope);
    answer = { status: 410, body: '' };
    await sender.sendDue();
    expect(await endpoints.find(scope, id)).toMatchObject({ disabledReason: 'gone' });
    await anEndpoint(scope, { url: `${receiverUrl}/watch` });
    const { rows } = await db.pool.query(
      `SELECT body FROM webhook_event WHERE account_id = $1 AND type = 'webhook-endpoint.disabled'`,
      [scope.accountId],
    );
    expect(JSON.parse(rows[0].body).data).toEqual({ endpointId: id, reason: 'gone' });
    await tell(scope);
    answer = { status: 204, body: '' };
    received = [];
    await sender.sendDue();
    expect(received.map(({ path }) => path)).toEqual(['/watch']);
  });

  it('disable an endpoint when nothing has come through for five days, and not when anything has', async () => {
    const scope = await aScope();
    const { id } = await anEndpoint(scope);
    answer = { status: 500, body: '' };
    await tell(scope);
    await sender.sendDue();
    clock.pass(4.9 * DAY_MS);
    await tell(scope);
    answer = { status: 200, body: '' };
    await sender.sendDue();
    answer = { status: 500, body: '' };
    clock.pass(4.9 * DAY_MS);
    await tell(scope);
    await sender.sendDue();
    expect(await endpoints.find(scope, id)).toMatchObject({ disabledAt: null });
    clock.pass(5.1 * DAY_MS);
    await sender.sendDue();
    expect(await endpoints.find(scope, id)).toMatchObject({ disabledReason: 'failing' });
  });

  it('of one endpoint keep no other waiting: it is tried one by one', async () => {
    const scope = await aScope();
    const { id } = await anEndpoint(scope);
    await tell(scope);
    answer = { status: 500, body: '' };
    await sender.sendDue();
    for (let n = 0; n < 10; n += 1) await tell(scope);
    clock.pass(60_000);
    expect(
      (await deliveries.claim(clock.now())).filter((one) => one.endpointId === id),
    ).toHaveLength(1);
    expect(await deliveries.claim(clock.now())).toHaveLength(0);
  });
});

describe('replays', () => {
  it('since an instant send what did not come through, also what was not told, and all when asked for', async () => {
    const scope = await aScope();
    const { id } = await anEndpoint(scope);
    await tell(scope);
    await sender.sendDue();
    clock.pass(1_000);
    const since = clock.now();
    await tell(scope);
    await sender.sendDue();
    await endpoints.update(scope, id, { isDisabled: true }, { ifMatch: null, now: clock.now() });
    const untold = await tell(scope);
    await endpoints.update(scope, id, { isDisabled: false }, { ifMatch: null, now: clock.now() });
    received = [];
    const until = new Date(clock.now().getTime() + 1);
    const replay = (includesDelivered: boolean) =>
      deliveries.replay(scope, id, { since, until, includesDelivered }, clock.now());
    expect(await replay(false)).toBe(1);
    await sender.sendDue();
    expect(received.map(({ headers }) => headers['webhook-id'])).toEqual([untold]);
    expect(await replay(false)).toBe(0);
    expect(await replay(true)).toBe(2);
  });

  it('of one event reach no event of another account', async () => {
    const [scope, other] = [await aScope(), await aScope()];
    const { id } = await anEndpoint(scope);
    const eventId = await tell(other);
    await expect(deliveries.replay(scope, id, { eventId }, clock.now())).rejects.toThrow(
      'no event',
    );
  });
});

describe('trim', () => {
  it('forgets what is older than a month, with its deliveries and attempts', async () => {
    const scope = await aScope();
    const { id } = await anEndpoint(scope);
    await tell(scope);
    await sender.sendDue();
    clock.pass(31 * DAY_MS);
    await tell(scope);
    await sender.trim();
    expect(await statuses(id)).toEqual(['pending']);
  });
});
