import { execFile } from 'node:child_process';
import { generateKeyPairSync, hash, sign } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { transform } from 'esbuild';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import {
  StatementFault,
  verifyStatement,
  type StatementKey,
} from '../../apps/cli/src/statement/verify-statement.js';
import { startApi, type TestApi } from '../support/api.js';
import { startInvoicing, type Drafted, type Invoicing } from '../support/invoicing.js';

const VERIFIER = 'apps/cli/src/statement/verify-statement.ts';

let on: Invoicing;
let of: Drafted;
let statement: Buffer;
let keys: StatementKey[];
beforeAll(async () => {
  on = await startInvoicing();
  of = await on.aDraft();
  await on.use(of, { hour: '2026-11-20T10:00:00Z', quantity: '250000' });
  const body = { description: 'Setup', amount: '12.00', reason: 'As agreed' };
  await on.api.call('POST', `${of.path}/lines`, { body });
  await on.post(`${of.path}/finalise`);
  statement = await download();
  keys = await publicKeys();
});

async function download(): Promise<Buffer> {
  const headers = { authorization: `Bearer ${await on.rows.customerToken(of.customerId)}` };
  const answer = await fetch(`${on.api.url}${of.path}/statement`, { headers });
  expect(answer.headers.get('content-type')).toMatch('application/jsonl');
  return Buffer.from(await answer.arrayBuffer());
}
const publicKeys = async () => {
  const { body } = await on.api.call('GET', '/v1/statement-keys', { token: null });
  return body['keys'] as StatementKey[];
};
const fault = async (bytes: Uint8Array, by = keys) => {
  try {
    await verifyStatement([bytes], by);
    return null;
  } catch (error) {
    if (error instanceof StatementFault) return error.message;
    throw error;
  }
};
const linesOf = (bytes: Buffer) => bytes.toString('utf8').trimEnd().split('\n');
const joined = (lines: readonly string[]) => Buffer.from(`${lines.join('\n')}\n`);

describe('GET /v1/invoices/{id}/statement', () => {
  it('answers 200: the head, the hours of each line, the line, and a signature; the same bytes again', async () => {
    const rows = linesOf(statement).map((line) => JSON.parse(line));
    expect(rows.map(({ row }) => row)).toEqual(['head', 'usage', 'usage', 'line', 'line', 'end']);
    expect(rows[0]).toMatchObject({ invoiceId: of.id, total: '16.38', currency: 'USD' });
    expect(rows[1]).toMatchObject({ from: '2026-11-15T10:00:00.000Z', quantity: '1000000' });
    expect(rows[3]).toMatchObject({
      billed: '1250000',
      counted: '1250000',
      changedSince: '0',
      amount: '4.38',
    });
    expect(rows[4]).toMatchObject({ description: 'Setup', amount: '12.00' });
    expect(await verifyStatement([statement], keys)).toMatchObject({ rows: 6, total: '16.38' });
    expect(await download()).toEqual(statement);
  });

  it('is verified in parts of any size', async () => {
    const bytes = Array.from(statement, (byte) => Uint8Array.of(byte));
    expect(await verifyStatement(bytes, keys)).toMatchObject({ rows: 6 });
  });

  it('tells of any byte that was changed', async () => {
    const missed: string[] = [];
    for (const bit of [0x01, 0x20]) {
      for (let at = 0; at < statement.length; at += 1) {
        const changed = Buffer.from(statement);
        changed[at] = (changed[at] ?? 0) ^ bit;
        if ((await fault(changed)) === null) missed.push(`${at} by ${bit}`);
      }
    }
    expect(missed).toEqual([]);
  });

  it('tells of any row that was left out, put in, doubled or put elsewhere, and of an end that is cut off', async () => {
    const lines = linesOf(statement);
    const wrong: Buffer[] = [];
    for (const [at, line] of lines.entries()) {
      const [before, behind] = [lines.slice(0, at), lines.slice(at + 1)];
      wrong.push(joined([...before, ...behind]), joined([...before, line, line, ...behind]));
      wrong.push(joined([...before, '{}', line, ...behind]));
      const [next, ...rest] = behind;
      if (next !== undefined) wrong.push(joined([...before, next, line, ...rest]));
    }
    for (let end = 0; end < statement.length; end += 1) wrong.push(statement.subarray(0, end));
    wrong.push(Buffer.concat([statement, Buffer.from('\n')]));
    for (const bytes of wrong) expect(await fault(bytes)).not.toBeNull();
  });

  it('tells of a forger who links all rows anew, signs with another key, or names it as ours', async () => {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    const x = String(publicKey.export({ format: 'jwk' }).x);
    const rows = linesOf(statement).map((line) => JSON.parse(line));
    rows[1].quantity = '900000';
    rows[3] = { ...rows[3], billed: '1150000', counted: '1150000' };
    const forged = (kid: string) => {
      let previous = '0'.repeat(64);
      const lines = rows.slice(0, -1).map((row) => {
        const line = JSON.stringify({ ...row, previous });
        previous = hash('sha256', line, 'hex');
        return line;
      });
      const end = { row: 'end', rows: lines.length, previous, alg: 'EdDSA', kid };
      const signature = sign(null, Buffer.from(JSON.stringify(end)), privateKey);
      return joined([
        ...lines,
        JSON.stringify({ ...end, signature: signature.toString('base64url') }),
      ]);
    };
    const kid = keys[0]?.kid ?? '';
    expect(await fault(forged(kid))).toMatch('the signature is wrong');
    expect(await fault(forged('mine'))).toMatch('is not among the public keys');
    const named = [{ kid, kty: 'OKP', crv: 'Ed25519', x }];
    expect(await fault(forged(kid), named)).toMatch('has another thumbprint');
    const own = hash('sha256', `{"crv":"Ed25519","kty":"OKP","x":"${x}"}`, 'base64url');
    expect(await fault(forged(own), [{ kid: own, kty: 'OKP', crv: 'Ed25519', x }])).toBeNull();
    rows[3].amount = '4.03';
    expect(await fault(forged(own), [{ kid: own, kty: 'OKP', crv: 'Ed25519', x }])).toMatch(
      'do not add up to the subtotal',
    );
  });

  it('answers 409 for a draft, 404 for an invoice that is not there', async () => {
    const draft = await on.aDraft();
    expect(await on.api.call('GET', `${draft.path}/statement`)).toMatchObject({ status: 409 });
    expect((await on.api.call('GET', '/v1/invoices/inv_none/statement')).status).toBe(404);
  });

  it('is verified by one file that stands alone, with the keys of the service', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'tollgate-statement-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const { code } = await transform(readFileSync(VERIFIER, 'utf8'), { loader: 'ts' });
    expect(
      [...code.matchAll(/from "([^"]+)"/g)].every(([, from]) => from?.startsWith('node:')),
    ).toBe(true);
    const [script, file] = [join(folder, 'verify.mjs'), join(folder, 'statement.jsonl')];
    writeFileSync(script, code);
    writeFileSync(file, statement);
    const run = () =>
      new Promise<{ code: number; text: string }>((resolve) => {
        const args = [script, file, `${on.api.url}/v1/statement-keys`];
        execFile(process.execPath, args, (error, stdout, stderr) =>
          resolve({ code: error ? 1 : 0, text: stdout + stderr }),
        );
      });
    expect(await run()).toMatchObject({
      code: 0,
      text: expect.stringContaining('total   16.38 USD'),
    });
    writeFileSync(file, statement.toString('utf8').replace('1000000', '1000001'));
    expect(await run()).toMatchObject({ code: 1, text: expect.stringContaining('line 3: ') });
  });
});

describe('GET /v1/statement-keys', () => {
  let later: TestApi;
  beforeAll(async () => {
    const newer = `newer:${hash('sha256', 'another root key', 'base64')}`;
    later = await startApi({ DATABASE_URL: on.api.databaseUrl, TOLLGATE_SECRET: newer });
  });

  it('answers 200 with the key that signed, also after a root key came in front and the old one went', async () => {
    const { body } = await later.call('GET', '/v1/statement-keys', { token: null });
    const known = body['keys'] as StatementKey[];
    expect(known).toHaveLength(2);
    expect(known[1]?.kid).toBe(keys[0]?.kid);
    expect(await verifyStatement([statement], known)).toMatchObject({ total: '16.38' });
  });
});
