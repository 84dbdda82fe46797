import { Keyring } from '@io/platform';
import pg from 'pg';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { afterFile } from '../support/after-file.js';
import { startApi, type Answer, type TestApi } from '../support/api.js';
import { aCatalogue } from '../support/catalogue.js';
import { controlPlane } from '../support/control-plane.js';
import { callRaw } from '../support/raw-http.js';

/** Secrets that look like nothing a filter knows, so that only care keeps them out. */
const CANARIES = {
  operatorToken: 'canary-operator-4f1c0a77d2',
  gatewayToken: 'canary-gateway-91b7e3aa05',
  secretAccessKey: 'canary-secret-access-key-c3d9f0',
  importedKey: 'canary-imported-key-7aa2b19c',
  wrongToken: 'canary-wrong-token-5e8810bd',
  wrongPassword: 'canary-basic-password-22aa71',
  wrongKey: 'canary-wrong-api-key-0d6f43e1',
  keyInQuery: 'canary-key-in-query-3b1a9c0e',
  keyInPath: 'canary-key-in-path-8821fe7d',
  keyInValue: 'canary-key-in-value-6c55d0aa',
  keyInHeader: 'canary-key-in-header-19be44f2',
  brokenBody: 'canary-in-broken-json-e07ad318',
} as const;

/** What the api made itself and showed once. */
const shown: Record<string, string> = {};
const answers: { readonly asked: string; readonly text: string }[] = [];
let output = '';
let api: TestApi;

beforeAll(async () => {
  for (const stream of [process.stdout, process.stderr]) {
    const write = stream.write.bind(stream);
    const spy = vi.spyOn(stream, 'write').mockImplementation((chunk: string | Uint8Array) => {
      output += typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString('utf8');
      return true;
    });
    afterFile(() => {
      spy.mockRestore();
      write('');
    });
  }
  api = await startApi({
    TOLLGATE_OPERATOR_TOKEN: CANARIES.operatorToken,
    TOLLGATE_GATEWAY_TOKEN: CANARIES.gatewayToken,
    TOLLGATE_ACCESS_KEY_ID: 'AKIDTOLLGATECANARY',
    TOLLGATE_SECRET_ACCESS_KEY: CANARIES.secretAccessKey,
    TOLLGATE_LOG_LEVEL: 'debug',
  });
  await succeed();
  await fail();
});

/** Calls as the owner, and keeps what was answered. */
async function call(method: string, path: string, options: object = {}): Promise<Answer> {
  const answer = await api.call(method, path, { token: CANARIES.operatorToken, ...options });
  answers.push({ asked: `${method} ${path}`, text: JSON.stringify(answer.body) });
  return answer;
}

/** The answer that shows a secret once; the secret is a canary from here on, and the answer is not looked at. */
async function show(name: string, path: string, body: object, headers = {}): Promise<string> {
  const answer = await call('POST', path, { body, headers });
  answers.pop();
  expect(answer).toMatchObject({ status: 201, body: { value: expect.any(String) } });
  shown[name] = answer.body['value'] as string;
  return answer.body['id'] as string;
}

async function succeed(): Promise<void> {
  const make = controlPlane({ ...api, ownerToken: CANARIES.operatorToken });
  const { id: customerId } = await make.customer();
  const once = { 'idempotency-key': 'once' };
  await show('importedKey', '/v1/api-keys', { customerId, value: CANARIES.importedKey }, once);
  const keyId = await show('madeKey', '/v1/api-keys', { customerId, name: 'made' }, once2());
  await show('customerToken', `/v1/customers/${customerId}/tokens`, { name: 'portal' }, once2());
  await show('operatorToken', '/v1/tokens', { name: 'reader', role: 'read-only' }, once2());
  const { id: gatewayId } = await make.gateway('edge');
  await show('gatewayToken', `/v1/gateways/${gatewayId}/tokens`, { name: 'edge' }, once2());
  const url = 'https://hooks.example/';
  const endpoint = await call('POST', '/v1/webhook-endpoints', { body: { url }, headers: once2() });
  const rotation = `/v1/webhook-endpoints/${endpoint.body['id']}/secret-rotations`;
  const rotated = await call('POST', rotation, { body: {}, headers: once2() });
  answers.splice(-2);
  shown['webhookSecret'] = endpoint.body['secret'] as string;
  shown['rotatedWebhookSecret'] = rotated.body['secret'] as string;
  await call('PATCH', `/v1/api-keys/${keyId}`, { body: { description: 'changed' } });
  const catalogue = await aCatalogue(api, { quota: { limit: 5, period: 'DAY' } });
  const { apiId, stage, apiKey } = catalogue;
  shown['catalogueKey'] = apiKey;
  const token = CANARIES.gatewayToken;
  for (const key of [apiKey, CANARIES.importedKey, CANARIES.wrongKey]) {
    const body = { apiKey: key, apiId, stage, method: 'GET', path: `/pets/1?key=${key}` };
    await call('POST', '/v1/decisions', { token, body });
    const target = `/v1/forward-auth/${apiId}/${stage}/path/pets?key=${key}`;
    const fields = [['X-Tollgate-Token', token] as const, ['X-Api-Key', key] as const];
    const answer = await callRaw(api.url, { target, fields });
    answers.push({ asked: 'forward-auth', text: JSON.stringify(answer) });
  }
  for (const list of [
    'api-keys',
    'tokens',
    'customers',
    'gateways',
    'audit-events',
    'apis',
    'webhook-endpoints',
  ]) {
    await call('GET', `/v1/${list}?limit=100`);
  }
}

let count = 0;
const once2 = () => ({ 'idempotency-key': `once-${(count += 1)}` });

async function fail(): Promise<void> {
  const { wrongToken, wrongPassword, keyInQuery, keyInPath, keyInValue, keyInHeader } = CANARIES;
  const { brokenBody, importedKey } = CANARIES;
  const basic = Buffer.from(`user:${wrongPassword}`).toString('base64');
  for (const path of ['/v1/apis', '/v1/decisions', '/v1/usage/batches', '/nothing']) {
    for (const method of ['GET', 'POST']) {
      await call(method, path, { token: wrongToken });
      await call(method, path, { token: null, headers: { authorization: `Basic ${basic}` } });
      await call(method, path, { token: null, headers: { authorization: wrongPassword } });
      await call(method, `${path}?api_key=${keyInQuery}`);
      await call(method, `${path}/${keyInPath}`);
      await call(method, path, { headers: { 'x-api-key': keyInHeader, cookie: keyInHeader } });
      await call(method, path, {
        headers: { 'idempotency-key': `${keyInHeader} x` },
      });
    }
  }
  for (const path of ['/v1/apis', '/v1/decisions', '/v1/usage/batches', '/v1/customers']) {
    await call('POST', path, { body: `{"name": ${brokenBody}` });
    await call('POST', path, { body: { name: { value: keyInValue } } });
  }
  for (const list of ['api-keys', 'customers', 'apis', 'usage-plans', 'invoices', 'gateways']) {
    await call('GET', `/v1/${list}/${keyInPath}`);
    await call('PATCH', `/v1/${list}/${keyInPath}`, { body: { name: 'x' } });
    await call('DELETE', `/v1/${list}/${keyInPath}`);
    await call('GET', `/v1/${list}?cursor=${keyInQuery}`);
    await call('GET', `/v1/${list}?limit=${keyInQuery}`);
  }
  // Asked for again, refused as a duplicate: the value is in the body and in the database's own words.
  const { body } = await call('GET', '/v1/customers');
  const customerId = body['items'][0].id as string;
  await call('POST', '/v1/api-keys', { body: { customerId, value: importedKey } });
  await call('POST', '/v1/api-keys', { body: { customerId: keyInValue, value: importedKey } });
  await call('POST', '/v1/api-keys', { body: { customerId, value: `${keyInValue}\u0000` } });
  await call('POST', '/v1/api-keys', { body: { customerId, value: keyInValue, enabled: 'x' } });
  await call('POST', `/v1/customers/${keyInPath}/tokens`, {
    body: { name: 'x' },
    headers: { 'idempotency-key': 'of-nobody' },
  });
  for (const target of [`/v1/apis/%zz${keyInPath}`, `/v1/apis/%00${keyInPath}`]) {
    const answer = await callRaw(api.url, { target });
    answers.push({ asked: target.slice(0, 12), text: JSON.stringify(answer) });
  }
}

/** The canary in its plain form and as bytes that a dump shows. */
const formsOf = (secret: string) => [
  secret,
  Buffer.from(secret).toString('hex'),
  Buffer.from(secret).toString('base64').replace(/=+$/, ''),
];

const secrets = () => Object.entries({ ...CANARIES, ...shown });

/** Which secrets a text holds, by name. */
const found = (text: string): string[] =>
  secrets()
    .filter(([, secret]) => formsOf(secret).some((form) => text.includes(form)))
    .map(([name]) => name);

/** Every row of every table of ours as text, bytes as hex. */
async function dump(): Promise<{ readonly table: string; readonly text: string }[]> {
  const db = new pg.Pool({ connectionString: api.databaseUrl });
  try {
    const { rows: tables } = await db.query<{ name: string }>(
      `SELECT format('%I.%I', table_schema, table_name) AS name FROM information_schema.tables
       WHERE table_schema NOT IN ('pg_catalog', 'information_schema') AND table_type = 'BASE TABLE'`,
    );
    const found = [];
    for (const { name } of tables) {
      const { rows } = await db.query<{ row: string }>(`SELECT t::text AS row FROM ${name} t`);
      found.push({ table: name, text: rows.map(({ row }) => row).join('\n') });
    }
    return found;
  } finally {
    await db.end();
  }
}

describe('a secret', () => {
  it('was given in every place that takes one, and every request was answered', () => {
    expect(answers.length).toBeGreaterThan(100);
    expect(Object.keys(shown)).toHaveLength(8);
    expect(answers.filter(({ text }) => text.includes('internal-error'))).toEqual([]);
  });

  it('is in no line that the process writes, at any level', () => {
    expect(output).toContain('"level":"debug"');
    expect(found(output)).toEqual([]);
  });

  it('is in no answer but the one that shows it once', () => {
    const leaks = answers.flatMap(({ asked, text }) => {
      // An id that nobody has is named to who asked for it, and to nobody else.
      const isNamed = text.includes('"resource":');
      const names = found(text).filter((name) => !(isNamed && name === 'keyInPath'));
      return names.length > 0 ? [`${asked}: ${names.join()} in ${text.slice(0, 300)}`] : [];
    });
    expect(leaks).toEqual([]);
  });

  it('is in no row of any table, in no form', async () => {
    const tables = await dump();
    const filled = tables.filter(({ text }) => text !== '').map(({ table }) => table);
    expect(filled).toEqual(
      expect.arrayContaining([
        'public.access_key',
        'public.api_key',
        'public.audit_event',
        'public.idempotency_key',
        'public.token',
      ]),
    );
    const leaks = tables.flatMap(({ table, text }) =>
      found(text).map((name) => `${table}: ${name}`),
    );
    expect(leaks).toEqual([]);
  });

  it('that is sealed opens for who has the root key, at its own place only', async () => {
    const db = new pg.Client({ connectionString: api.databaseUrl });
    await db.connect();
    const { rows } = await db.query<{ id: string; account_id: string; secret: Buffer }>(
      'SELECT id, account_id, secret FROM access_key',
    );
    await db.end();
    const [row] = rows;
    const place = { table: 'access_key', column: 'secret', accountId: row!.account_id };
    const keyring = api.app.get(Keyring);
    expect(keyring.open(row!.secret, { ...place, rowId: row!.id })).toBe(CANARIES.secretAccessKey);
    expect(() => keyring.open(row!.secret, { ...place, rowId: 'other' })).toThrow();
  });
});
