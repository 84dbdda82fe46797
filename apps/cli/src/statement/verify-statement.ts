#!/usr/bin/env node
/*
 * Verifies a usage statement of Tollgate. This file stands alone: it needs Node and nothing else, so that whoever is billed
 * can read it in a few minutes and run it without trusting anybody.
 *
 *     node verify-statement.js statement.jsonl https://tollgate.example/v1/statement-keys
 *
 * The second argument is where the public keys are: a URL, or a file with what that URL answered.
 *
 * A statement is JSON lines. Each has in `previous` the SHA-256 of the line before it; the last one signs its own text up to the
 * signature, by Ed25519, and so all of them.
 */
import { createPublicKey, hash, verify, type KeyObject } from 'node:crypto';
import { createReadStream, readFileSync } from 'node:fs';
import { argv, exit, stderr, stdout } from 'node:process';
import { pathToFileURL } from 'node:url';

/** A public key as `GET /v1/statement-keys` answers it. */
export interface StatementKey {
  readonly kid: string;
  readonly kty: string;
  readonly crv: string;
  readonly x: string;
}

/** What a statement says that holds. */
export interface VerifiedStatement {
  readonly number: string;
  readonly issuer: string;
  readonly recipient: string;
  readonly from: string;
  readonly to: string;
  readonly currency: string;
  readonly total: string;
  readonly rows: number;
  readonly kid: string;
}

/** A statement is not what was signed, or does not add up; the message says where. */
export class StatementFault extends Error {
  override readonly name = 'StatementFault';
}

const FORMAT = 'tollgate-usage-statement/1';
const NONE = '0'.repeat(64);
const LINE_MAX = 1_048_576;

/** Verifies the bytes of a statement, in parts of any size. Throws a `StatementFault`; memory does not grow with the statement. */
export async function verifyStatement(
  bytes: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  keys: readonly StatementKey[],
): Promise<VerifiedStatement> {
  const sums = new StatementSums();
  let previous = NONE;
  let head: Row | null = null;
  let end: Row | null = null;
  let count = 0;
  for await (const line of linesOf(bytes)) {
    const at = `line ${count + 1}`;
    if (end) throw new StatementFault(`${at}: something stands behind the end`);
    const row = readRow(line, at);
    if (text(row, 'previous', at) !== previous)
      throw new StatementFault(
        `${at}: what stands before it is not what was signed: it was changed, left out or put in`,
      );
    if (row['row'] === 'end') {
      if (row['rows'] !== count) throw new StatementFault(`${at}: there are ${count} rows before`);
      checkSignature(row, line, keys, at);
      end = row;
    } else {
      if ((row['row'] === 'head') !== (count === 0))
        throw new StatementFault(`${at}: the head is the first row`);
      if (count === 0) head = row;
      sums.add(row, at);
    }
    previous = hash('sha256', line, 'hex');
    count += 1;
  }
  if (!end || !head) throw new StatementFault('the end is missing');
  sums.check(head);
  const of = (name: string) => String(head[name]);
  return {
    number: of('number'),
    issuer: of('issuer'),
    recipient: of('recipient'),
    from: of('from'),
    to: of('to'),
    currency: of('currency'),
    total: of('total'),
    rows: count,
    kid: String(end['kid']),
  };
}

type Row = Readonly<Record<string, unknown>>;

/** Lines without their ends. The last one must have its end too, and no line may be endless. */
async function* linesOf(
  bytes: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<Buffer> {
  let rest = Buffer.alloc(0);
  for await (const part of bytes) {
    rest = Buffer.concat([rest, part]);
    for (let end = rest.indexOf(0x0a); end >= 0; end = rest.indexOf(0x0a)) {
      yield rest.subarray(0, end);
      rest = rest.subarray(end + 1);
    }
    if (rest.length > LINE_MAX) throw new StatementFault('a line is too long');
  }
  if (rest.length > 0) throw new StatementFault('the last line is cut off');
}

function readRow(line: Buffer, at: string): Row {
  let row: unknown;
  try {
    row = JSON.parse(line.toString('utf8'));
  } catch {
    throw new StatementFault(`${at}: is not JSON`);
  }
  if (typeof row !== 'object' || row === null || Array.isArray(row))
    throw new StatementFault(`${at}: is no row`);
  return { ...row };
}

function text(row: Row, name: string, at: string): string {
  const value = row[name];
  if (typeof value !== 'string') throw new StatementFault(`${at}: has no ${name}`);
  return value;
}

function checkSignature(row: Row, line: Buffer, keys: readonly StatementKey[], at: string): void {
  const kid = text(row, 'kid', at);
  const signature = text(row, 'signature', at);
  if (row['alg'] !== 'EdDSA') throw new StatementFault(`${at}: is signed in another way`);
  const bytes = Buffer.from(signature, 'base64url');
  if (bytes.toString('base64url') !== signature)
    throw new StatementFault(`${at}: the signature is not written as it should be`);
  const key = keys.find((one) => one.kid === kid);
  if (!key) throw new StatementFault(`${at}: the key ${kid} is not among the public keys`);
  const ending = `,"signature":"${signature}"}`;
  const written = line.toString('utf8');
  if (!written.endsWith(ending)) throw new StatementFault(`${at}: the signature is not the last`);
  const signed = Buffer.from(`${written.slice(0, -ending.length)}}`);
  if (!verify(null, signed, publicKey(key), bytes))
    throw new StatementFault(`${at}: the signature is wrong`);
}

function publicKey({ kid, kty, crv, x }: StatementKey): KeyObject {
  if (hash('sha256', `{"crv":"${crv}","kty":"${kty}","x":"${x}"}`, 'base64url') !== kid)
    throw new StatementFault(`the key ${kid} has another thumbprint`);
  return createPublicKey({ key: { kty, crv, x }, format: 'jwk' });
}

/** Adds up what a statement says: hours to lines, lines to the invoice. */
class StatementSums {
  private hours = 0n;
  private linesOpen: string | null = null;
  private lines = 0n;

  add(row: Row, at: string): void {
    switch (row['row']) {
      case 'head':
        if (row['format'] !== FORMAT) throw new StatementFault(`${at}: is of another form`);
        return;
      case 'usage': {
        const lineId = text(row, 'lineId', at);
        if (this.linesOpen !== null && this.linesOpen !== lineId)
          throw new StatementFault(`${at}: the line of the hours before is missing`);
        this.linesOpen = lineId;
        this.hours += scaled(text(row, 'quantity', at), at);
        return;
      }
      case 'line': {
        if (this.linesOpen !== null && this.linesOpen !== text(row, 'lineId', at))
          throw new StatementFault(`${at}: the hours before it are of another line`);
        const counted = row['counted'] === undefined ? 0n : scaled(text(row, 'counted', at), at);
        if (this.hours !== counted)
          throw new StatementFault(`${at}: its hours do not add up to what was counted`);
        if (row['counted'] !== undefined) {
          const since = scaled(text(row, 'changedSince', at), at);
          if (counted - since !== scaled(text(row, 'billed', at), at))
            throw new StatementFault(`${at}: counted, changed and billed do not agree`);
        }
        this.lines += scaled(text(row, 'amount', at), at);
        this.hours = 0n;
        this.linesOpen = null;
        return;
      }
      default:
        throw new StatementFault(`${at}: is of no kind that a statement has`);
    }
  }

  check(head: Row): void {
    const [subtotal, tax, total] = ['subtotal', 'tax', 'total'].map((name) =>
      scaled(text(head, name, 'line 1'), 'line 1'),
    );
    if (this.linesOpen !== null) throw new StatementFault('the line of the last hours is missing');
    if (this.lines !== subtotal)
      throw new StatementFault('the lines do not add up to the subtotal');
    if ((subtotal ?? 0n) + (tax ?? 0n) !== total)
      throw new StatementFault('subtotal and tax do not add up to the total');
  }
}

const SCALE = 40;

/** A plain decimal as a whole number, exactly. */
function scaled(decimal: string, at: string): bigint {
  const [, sign, whole, fraction = ''] = /^(-?)(\d{1,60})(?:\.(\d{1,40}))?$/.exec(decimal) ?? [];
  if (whole === undefined) throw new StatementFault(`${at}: "${decimal}" is no decimal`);
  const value = BigInt(whole + fraction.padEnd(SCALE, '0'));
  return sign === '-' ? -value : value;
}

/** Reads public keys from a file, or from where the service publishes them. */
export async function readStatementKeys(from: string): Promise<StatementKey[]> {
  const isUrl = /^https?:\/\//.test(from);
  const body: { keys?: StatementKey[] } = isUrl
    ? await (await fetch(from)).json()
    : JSON.parse(readFileSync(from, 'utf8'));
  return body.keys ?? [];
}

/** What holds, in one paragraph. */
export function verifiedText(statement: VerifiedStatement): string {
  const { number, issuer, recipient, from, to, total, currency, rows, kid } = statement;
  return `The statement is whole and as it was signed.
invoice ${number}: ${issuer} to ${recipient}
period  ${from} to ${to}
total   ${total} ${currency}
rows    ${rows}, each linked to the one before; hours add up to lines, lines to the invoice
key     ${kid}`;
}

async function main(): Promise<number> {
  const [, , file, keys] = argv;
  if (file === undefined || keys === undefined) {
    stderr.write('Usage: node verify-statement.js <statement.jsonl> <keys: URL or file>\n');
    return 2;
  }
  try {
    const verified = await verifyStatement(createReadStream(file), await readStatementKeys(keys));
    stdout.write(`${verifiedText(verified)}\n`);
    return 0;
  } catch (error) {
    stderr.write(`${file}: ${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  }
}

if (argv[1] !== undefined && import.meta.url === pathToFileURL(argv[1]).href) exit(await main());
