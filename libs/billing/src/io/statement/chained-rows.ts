import { hash } from 'node:crypto';

/** One row of a statement; what is in it, in its order. */
export type StatementRow = Readonly<Record<string, unknown>> & { readonly row: string };

/** What signs the end of a chain. */
export interface ChainSigner {
  readonly kid: string;
  readonly sign: (bytes: Uint8Array) => Uint8Array;
}

/** What the first row has instead of the hash of the one before. */
const NONE = '0'.repeat(64);

/**
 * Rows as JSON lines. Each has in `previous` the SHA-256 of the line before it, so that the last stands for all; its own bytes up to
 * the signature are what is signed.
 */
export async function* chainedRows(
  rows: AsyncIterable<StatementRow>,
  { kid, sign }: ChainSigner,
): AsyncGenerator<string> {
  let previous = NONE;
  let count = 0;
  for await (const row of rows) {
    const line = JSON.stringify({ ...row, previous });
    previous = hash('sha256', line, 'hex');
    count += 1;
    yield `${line}\n`;
  }
  const end = { row: 'end', rows: count, previous, alg: 'EdDSA', kid };
  const signature = Buffer.from(sign(Buffer.from(JSON.stringify(end)))).toString('base64url');
  yield `${JSON.stringify({ ...end, signature })}\n`;
}
