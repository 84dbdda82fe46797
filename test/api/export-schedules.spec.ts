import { createHash, randomInt } from 'node:crypto';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ExportRunnerService } from '@io/billing';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { afterFile } from '../support/after-file.js';
import type { CrashingWire } from '../support/crashing-wire.js';
import { startInvoicing, type Invoicing } from '../support/invoicing.js';
import { startMortalApi } from '../support/mortal-api.js';
import { S3Server } from '../support/s3-server.js';

/** All statements by hand: `CRASH_EVERY=1 npm test -- test/api/export-schedules.spec.ts`. */
const EVERY = Number(process.env['CRASH_EVERY'] ?? 3);
/** With which statement it begins; over many runs each is met. */
const FIRST = 1 + randomInt(EVERY);

let on: Invoicing;
let runner: ExportRunnerService;
/** The same in a process that dies at the statement that its wire is told. */
let mortal: ExportRunnerService;
let wire: CrashingWire;
let root: string;
let s3: S3Server;
let s3Url: string;

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'tollgate-exports-'));
  afterFile(() => rmSync(root, { recursive: true }));
  s3 = new S3Server();
  s3Url = await s3.listen();
  afterFile(() => s3.close());
  on = await startInvoicing({
    TOLLGATE_EXPORT_ROOT: root,
    EGRESS_ALLOW_HTTP: 'on',
    EGRESS_PORTS: 'any',
    EGRESS_ALLOW_CIDRS: '127.0.0.2/32',
  });
  runner = on.api.app.get(ExportRunnerService, { strict: false });
  await on.aFinalised();
  const started = await startMortalApi(on.api.databaseUrl);
  ({ wire } = started);
  mortal = started.app.get(ExportRunnerService, { strict: false });
});
// What one test leaves waiting is not the next one's.
beforeEach(() => on.rows.db.$executeRaw`DELETE FROM export_schedule`);

let folders = 0;
const inFolder = () => ({ kind: 'folder', folder: `finance/${(folders += 1)}` });
const inBucket = (change: object = {}) => ({
  kind: 's3',
  endpoint: s3Url,
  region: s3.region,
  bucket: s3.bucket,
  prefix: `tollgate/${(folders += 1)}/`,
  accessKeyId: s3.accessKeyId,
  secretAccessKey: s3.secretAccessKey,
  ...change,
});
const bodyOf = (change: object = {}) => ({
  export: 'invoice-register',
  format: 'csv',
  interval: 'month',
  from: '2026-11-01T00:00:00Z',
  target: inFolder(),
  ...change,
});
const PATH = '/v1/export-schedules';
const post = (body: object, options: object = {}) =>
  on.api.call('POST', PATH, { body, ...options });
const create = async (change: object = {}) => {
  const { status, body } = await post(bodyOf(change));
  expect(status).toBe(201);
  return body;
};
const runsOf = async ({ id }: { id?: string }) =>
  (await on.api.call('GET', `${PATH}/${id}/runs`)).body['items'];
const NOVEMBER = 'from=2026-11-01T00:00:00Z&to=2026-12-01T00:00:00Z';
const fetched = async (path: string) => {
  const headers = { authorization: `Bearer ${on.api.ownerToken}` };
  return Buffer.from(await (await fetch(`${on.api.url}${path}`, { headers })).arrayBuffer());
};
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
/** Lets what has failed be due. */
const makeDue = () =>
  on.rows.db.$executeRaw`UPDATE export_run SET next_attempt_at = now() - interval '1 hour'`;
const pathOf = (folder: string) => join(root, on.rows.accountId, folder);

describe('POST /v1/export-schedules', () => {
  it('answers 201 with the first period, and shows the secret to nobody', async () => {
    const target = inBucket();
    const schedule = await create({
      target,
      interval: 'day',
      timezone: 'America/New_York',
      delayHours: 2,
    });
    const { secretAccessKey, ...shown } = target;
    expect(schedule).toMatchObject({
      id: expect.stringMatching(/^exs_/),
      target: shown,
      nextPeriod: { from: '2026-10-31T04:00:00.000Z', to: '2026-11-01T04:00:00.000Z' },
      dueAt: '2026-11-01T06:00:00.000Z',
      disabledAt: null,
    });
    const answers = [
      schedule,
      (await on.api.call('GET', PATH)).body,
      (await on.api.call('GET', `${PATH}/${schedule['id']}`)).body,
      (await on.api.call('GET', '/v1/audit-events?limit=5')).body,
      await on.rows.db.exportSchedule.findMany({ omit: { sealedSecretKey: true } }),
    ];
    expect(JSON.stringify(answers)).not.toContain(secretAccessKey);
    const { sealedSecretKey } = await on.rows.db.exportSchedule.findFirstOrThrow();
    expect(Buffer.from(sealedSecretKey ?? []).includes(secretAccessKey)).toBe(false);
  });

  it.each([
    [{ export: 'nothing' }, '/export'],
    [{ format: 'xlsx' }, '/format'],
    [{ interval: 'hour' }, '/interval'],
    [{ timezone: 'Mars/Base' }, '/timezone'],
    [{ delayHours: -1 }, '/delayHours'],
    [{ from: '2020-01-01T00:00:00Z', interval: 'day' }, '/from'],
    [{ target: { kind: 'ftp' } }, '/target/kind'],
    [{ target: { kind: 'folder' } }, '/target/folder'],
    [{ target: { kind: 'folder', folder: '../elsewhere' } }, '/target/folder'],
    [{ target: { kind: 'folder', folder: '/etc' } }, '/target/folder'],
    [{ target: { kind: 'folder', folder: 'a/../../b' } }, '/target/folder'],
    [{ target: { kind: 'folder', folder: 'x', bucket: 'finance' } }, '/target/bucket'],
    [{ target: { kind: 's3', endpoint: 'https://s3.example' } }, '/target/region'],
    [{ target: inBucketAt('http://127.0.0.1:9000') }, '/target/endpoint'],
    [{ target: inBucketAt('http://169.254.169.254') }, '/target/endpoint'],
    [{ target: inBucketAt('http://[::1]:9000') }, '/target/endpoint'],
    [{ target: inBucketAt('file:///etc') }, '/target/endpoint'],
    [{ target: inBucketAt('https://user:pw@s3.example') }, '/target/endpoint'],
    [{ target: inBucketAt('https://s3.example/finance') }, '/target/endpoint'],
    [{ target: { ...inBucketAt('https://s3.example'), prefix: '../x' } }, '/target/prefix'],
    [{ target: { ...inBucketAt('https://s3.example'), bucket: 'Not A Bucket' } }, '/target/bucket'],
  ])('answers 400 to %j, naming %s', async (change, pointer) => {
    const { status, body } = await post(bodyOf(change));
    expect(status).toBe(400);
    expect(body['errors'].map((fault: { pointer: string }) => fault.pointer)).toContain(pointer);
    expect(await on.rows.db.exportSchedule.count()).toBe(0);
  });

  it('answers 409 to a second schedule of the same files', async () => {
    const { target } = await create();
    const again = await post(bodyOf({ target }));
    expect(again).toMatchObject({
      status: 409,
      body: { type: expect.stringMatching(/export-schedule-exists$/) },
    });
    expect((await post(bodyOf({ target, format: 'parquet' }))).status).toBe(201);
  });

  it('answers 403 to who may only read', async () => {
    const token = await on.rows.operatorToken(on.rows.accountId, 'support');
    expect((await post(bodyOf(), { token })).status).toBe(403);
  });
});

/** Of a table of cases, which is made before there is a server. */
function inBucketAt(endpoint: string) {
  const keys = { accessKeyId: 'AKID', secretAccessKey: 'secret' };
  return { kind: 's3', endpoint, region: 'eu-test-1', bucket: 'finance', ...keys };
}

describe('PATCH and DELETE /v1/export-schedules/:id', () => {
  it('change when and where it is written, stop it, and take it away', async () => {
    const schedule = await create({ target: inBucket() });
    const path = `${PATH}/${schedule['id']}`;
    const patch = (body: object, headers = {}) => on.api.call('PATCH', path, { body, headers });
    expect((await patch({ delayHours: 48 })).body['dueAt']).toBe('2026-12-03T00:00:00.000Z');
    expect((await patch({ disabled: true })).body['disabledAt']).not.toBeNull();
    expect((await patch({ disabled: false, delayHours: 0 })).body['disabledAt']).toBeNull();
    const target = inFolder();
    expect((await patch({ target })).body['target']).toEqual(target);
    expect((await patch({ target: { kind: 'folder', folder: '..' } })).status).toBe(400);
    expect((await patch({ interval: 'day' })).status).toBe(400);
    expect((await patch({ delayHours: 1 }, { 'if-match': '"old"' })).status).toBe(412);
    await runner.runDue();
    expect(await on.rows.db.exportRun.count()).toBe(1);
    expect((await on.api.call('DELETE', path)).status).toBe(204);
    expect((await on.api.call('DELETE', path)).status).toBe(404);
    expect((await patch({ delayHours: 1 })).status).toBe(404);
    expect(await on.rows.db.exportRun.count()).toBe(0);
    // What was written is not the schedule's any more.
    expect(readdirSync(pathOf(target.folder))).toEqual([
      'invoice-register_2026-11-01_2026-11-30.csv',
    ]);
  });
});

describe('a schedule', () => {
  it('writes each period that has ended, once, whole, and as the export answers it', async () => {
    const target = inFolder();
    const schedule = await create({
      target,
      from: '2026-06-15T00:00:00Z',
      export: 'invoice-lines',
    });
    const attempts = await Promise.all([1, 2, 3, 4].map(() => runner.runDue()));
    expect(attempts.reduce((sum, one) => sum + one)).toBe(6);
    expect(await runner.runDue()).toBe(0);
    const folder = pathOf(target.folder);
    const lastDays = ['06-30', '07-31', '08-31', '09-30', '10-31', '11-30'];
    expect(readdirSync(folder).toSorted()).toEqual(
      lastDays.map((day) => `invoice-lines_2026-${day.slice(0, 3)}01_2026-${day}.csv`),
    );
    const bytes = readFileSync(join(folder, 'invoice-lines_2026-11-01_2026-11-30.csv'));
    expect(bytes).toEqual(await fetched(`/v1/exports/invoice-lines.csv?${NOVEMBER}`));
    const runs: { period: { from: string } }[] = await runsOf(schedule);
    expect(new Set(runs.map(({ period }) => period.from)).size).toBe(6);
    expect(runs).toHaveLength(6);
    const ofNovember = runs.find(({ period }) => period.from === '2026-11-01T00:00:00.000Z');
    expect(ofNovember).toMatchObject({
      status: 'done',
      attempts: 1,
      fault: null,
      written: {
        place: `${on.rows.accountId}/${target.folder}/invoice-lines_2026-11-01_2026-11-30.csv`,
        rows: bytes.toString().trimEnd().split('\r\n').length - 1,
        bytes: bytes.length,
        sha256: sha256(bytes),
      },
    });
    const { body } = await on.api.call('GET', `${PATH}/${schedule['id']}`);
    expect(body['nextPeriod'].from).toBe('2026-12-01T00:00:00.000Z');
  });

  it('waits for invoices of the period to be final, where it says so', async () => {
    const draft = await on.aDraft();
    const schedule = await create({ waitsForInvoices: true, export: 'revenue', format: 'parquet' });
    expect(await runner.runDue()).toBe(0);
    expect(draft.id).not.toBe('');
    const drafts = await on.rows.db.invoice.findMany({ where: { status: 'draft' } });
    for (const { id } of drafts)
      expect((await on.post(`/v1/invoices/${id}/finalise`)).status).toBe(200);
    expect(await runner.runDue()).toBe(1);
    expect(await runsOf(schedule)).toMatchObject([
      { status: 'done', written: { rows: expect.any(Number) } },
    ]);
  });

  it('leaves nothing behind of an attempt that died, and writes over what it had', async () => {
    const target = inFolder();
    const schedule = await create({ target });
    await runner.runDue();
    const folder = pathOf(target.folder);
    const [name = ''] = readdirSync(folder);
    const whole = readFileSync(join(folder, name));
    // As if the worker had died amid a second writing.
    writeFileSync(join(folder, `.${name}.exr_x-1.part`), 'half');
    await on.rows.db.$executeRaw`
      UPDATE export_run SET status = 'running', running_until = now() - interval '1 second' WHERE schedule_id = ${String(schedule['id'])}`;
    expect(await runner.runDue()).toBe(1);
    expect(readdirSync(folder)).toEqual([name]);
    expect(readFileSync(join(folder, name))).toEqual(whole);
    expect(await runsOf(schedule)).toMatchObject([{ status: 'done', attempts: 2 }]);
  });

  it('keeps what is there when it is to be written again and that breaks off in the middle', async () => {
    const target = inFolder();
    const schedule = await create({ target, export: 'usage-detail', format: 'parquet' });
    await runner.runDue();
    const folder = pathOf(target.folder);
    const [name = ''] = readdirSync(folder);
    const whole = readFileSync(join(folder, name));
    // In the second row group, a sum that has more digits than a DECIMAL.
    const { accountId, customerId, keyId, apiId, stage, usagePlanId } = await on.aSubscriber();
    await on.rows.db.$executeRaw`
      INSERT INTO usage_hour (customer_id, key_id, hour, meter, api_id, stage, usage_plan_id, method, resource_path, status_class, account_id, quantity)
      SELECT ${customerId}, ${keyId}, timestamptz '2026-11-02' + n * interval '1 minute', 'calls', ${apiId}, ${stage},
        ${usagePlanId}, 'GET', '/pets', '2xx', ${accountId}, CASE n WHEN 10001 THEN 1e30 ELSE 1 END FROM generate_series(1, 10001) n`;
    const body = { at: '2026-11-15T00:00:00Z' };
    await on.api.call('POST', `${PATH}/${schedule['id']}/runs`, { body });
    await runner.runDue();
    await on.rows.db.$executeRaw`DELETE FROM usage_hour WHERE customer_id = ${customerId}`;
    expect(await runsOf(schedule)).toMatchObject([
      { status: 'failed', fault: expect.stringMatching(/does not fit DECIMAL/), attempts: 2 },
    ]);
    expect(readdirSync(folder)).toEqual([name]);
    expect(readFileSync(join(folder, name))).toEqual(whole);
  });

  it('does not follow a link out of the folder, and says why it failed', async () => {
    const outside = mkdtempSync(join(tmpdir(), 'tollgate-outside-'));
    const target = inFolder();
    mkdirSync(pathOf('finance'), { recursive: true });
    symlinkSync(outside, pathOf(target.folder));
    const schedule = await create({ target });
    await runner.runDue();
    expect(readdirSync(outside)).toEqual([]);
    expect(await runsOf(schedule)).toMatchObject([
      {
        status: 'failed',
        written: null,
        fault: expect.stringMatching(/no folder/),
        nextAttemptAt: expect.any(String),
      },
    ]);
    rmSync(pathOf(target.folder));
    rmSync(outside, { recursive: true });
    await makeDue();
    expect(await runner.runDue()).toBe(1);
    expect(await runsOf(schedule)).toMatchObject([{ status: 'done', fault: null }]);
  });
});

describe('a worker that dies between any two statements', () => {
  it.each(['before', 'after'] as const)(
    'leaves one run and one whole file: dies %s it',
    { timeout: 60_000 },
    async (moment) => {
      let crashes = 0;
      for (let statement = FIRST, hasCrashed = true; hasCrashed; statement += EVERY) {
        const target = inFolder();
        const schedule = await create({ target });
        wire.crashAt(statement, moment);
        await mortal.runDue().catch(() => undefined);
        hasCrashed = await wire.disarm();
        if (hasCrashed) crashes += 1;
        await on.rows.db.$executeRaw`
          UPDATE export_run SET running_until = now() - interval '1 second' WHERE status = 'running'`;
        await makeDue();
        await runner.runDue();
        const folder = pathOf(target.folder);
        const name = 'invoice-register_2026-11-01_2026-11-30.csv';
        expect(readdirSync(folder)).toEqual([name]);
        expect(readFileSync(join(folder, name))).toEqual(
          await fetched(`/v1/exports/invoice-register.csv?${NOVEMBER}`),
        );
        expect(await runsOf(schedule)).toMatchObject([{ status: 'done', fault: null }]);
        await on.api.call('DELETE', `${PATH}/${schedule['id']}`);
      }
      expect(crashes).toBeGreaterThan(10 / EVERY);
    },
  );
});

describe('a bucket', () => {
  const objectsUnder = (prefix: string) =>
    [...s3.objects.keys()].filter((key) => key.startsWith(prefix));

  it('gets each file as one object, signed, that is what the export answers', async () => {
    const target = inBucket();
    const schedule = await create({ target, format: 'parquet', export: 'usage-detail' });
    expect(await runner.runDue()).toBe(1);
    const key = `${target.prefix}usage-detail_2026-11-01_2026-11-30.parquet`;
    const object = s3.objects.get(key);
    const expected = await fetched(`/v1/exports/usage-detail.parquet?${NOVEMBER}`);
    expect(object).toEqual({ bytes: expected, contentType: 'application/vnd.apache.parquet' });
    expect(await runsOf(schedule)).toMatchObject([
      {
        status: 'done',
        written: {
          place: `${s3Url}/finance/${key}`,
          bytes: expected.length,
          sha256: sha256(expected),
        },
      },
    ]);
  });

  it.each([
    [
      'a wrong secret',
      { secretAccessKey: 'wrong' },
      'The bucket answered 403 SignatureDoesNotMatch.',
    ],
    ['an unknown key', { accessKeyId: 'AKIDOTHER' }, 'The bucket answered 403 InvalidAccessKeyId.'],
    [
      'a bucket that is not there',
      { bucket: 'elsewhere' },
      'The bucket answered 404 NoSuchBucket.',
    ],
    [
      'another region',
      { region: 'us-east-1' },
      'The bucket answered 400 AuthorizationHeaderMalformed.',
    ],
  ])('refuses %s, which the history shows', async (_, change, fault) => {
    const target = inBucket(change);
    const schedule = await create({ target });
    await runner.runDue();
    expect(objectsUnder(target.prefix)).toEqual([]);
    expect(await runsOf(schedule)).toMatchObject([{ status: 'failed', attempts: 1, fault }]);
    const { body } = await on.api.call('GET', `${PATH}/${schedule['id']}/runs?status=done`);
    expect(body['items']).toEqual([]);
  });

  it('has nothing of an upload that broke off or was refused, and all of it when it is tried again', async () => {
    const target = inBucket();
    const schedule = await create({ target });
    s3.failures.push('drop', 503);
    await runner.runDue();
    expect(objectsUnder(target.prefix)).toEqual([]);
    expect(await runsOf(schedule)).toMatchObject([
      { status: 'failed', fault: 'The bucket cannot be reached: no-answer.' },
    ]);
    await makeDue();
    await runner.runDue();
    expect(await runsOf(schedule)).toMatchObject([
      { status: 'failed', attempts: 2, fault: 'The bucket answered 503 InternalError.' },
    ]);
    await makeDue();
    await runner.runDue();
    expect(objectsUnder(target.prefix)).toHaveLength(1);
    expect(await runsOf(schedule)).toMatchObject([{ status: 'done', attempts: 3, fault: null }]);
  });

  it('is not asked at a name that leads to a private address', async () => {
    const before = s3.requests;
    const schedule = await create({
      target: inBucket({ endpoint: s3Url.replace('127.0.0.2', 'localhost') }),
    });
    await runner.runDue();
    expect(s3.requests).toBe(before);
    expect(await runsOf(schedule)).toMatchObject([
      { status: 'failed', fault: 'The bucket cannot be reached: address-refused.' },
    ]);
  });

  it('is written by the worker that has the run, when another took it over from one that hung', async () => {
    const target = inBucket();
    const schedule = await create({ target });
    let release: () => void = () => undefined;
    const asked = new Promise<void>((resolve) => {
      s3.hold = () => {
        resolve();
        return new Promise<void>((go) => (release = go));
      };
    });
    const hanging = runner.runDue();
    await asked;
    s3.hold = null;
    await on.rows.db.$executeRaw`UPDATE export_run SET running_until = now() - interval '1 second'`;
    expect(await runner.runDue()).toBe(1);
    const [done] = await runsOf(schedule);
    expect(done).toMatchObject({ status: 'done', attempts: 2 });
    release();
    await hanging;
    expect(await runsOf(schedule)).toEqual([done]);
    expect(objectsUnder(target.prefix)).toHaveLength(1);
  });
});

describe('POST /v1/export-schedules/:id/runs and /dry-runs', () => {
  it('tell what would be written and write nothing; and write it, again when asked again', async () => {
    const target = inFolder();
    const schedule = await create({ target, from: '2027-01-01T00:00:00Z' });
    const path = `${PATH}/${schedule['id']}`;
    const dry = await on.api.call('POST', `${path}/dry-runs`, { body: {} });
    const expected = await fetched(`/v1/exports/invoice-register.csv?${NOVEMBER}`);
    expect(dry).toMatchObject({
      status: 200,
      body: {
        bytes: expected.length,
        sha256: sha256(expected),
        fault: null,
        period: { from: '2026-11-01T00:00:00.000Z' },
      },
    });
    expect(() => readdirSync(pathOf(target.folder))).toThrow('ENOENT');
    expect(await runsOf(schedule)).toEqual([]);
    const run = () => on.api.call('POST', `${path}/runs`, { body: { at: '2026-11-15T00:00:00Z' } });
    const first = await run();
    expect(first).toMatchObject({ status: 202, body: { status: 'pending', written: null } });
    await runner.runDue();
    expect((await run()).body['id']).toBe(first.body['id']);
    await runner.runDue();
    expect(await runsOf(schedule)).toMatchObject([
      {
        status: 'done',
        attempts: 2,
        written: { sha256: sha256(expected), place: dry.body['place'] },
      },
    ]);
  });

  it('answer 400 to a period that goes on, 409 when it is disabled, 404 to none', async () => {
    const { id } = await create();
    const call = async (path: string, body: object = {}) =>
      (await on.api.call('POST', `${PATH}/${path}`, { body })).status;
    expect(await call(`${id}/runs`, { at: '2026-12-01T00:00:00Z' })).toBe(400);
    expect(await call(`${id}/runs`, { at: 'soon' })).toBe(400);
    expect(await call('exs_none/runs')).toBe(404);
    expect(await call('exs_none/dry-runs')).toBe(404);
    await on.api.call('PATCH', `${PATH}/${id}`, { body: { disabled: true } });
    expect(await call(`${id}/runs`)).toBe(409);
    expect(await runner.runDue()).toBe(0);
  });
});
