import { Injectable } from '@nestjs/common';
import { Database, Keyring } from '@io/platform';

/** Whose key, on which route. */
export interface IdempotentCall {
  readonly accountId: string;
  readonly principalId: string;
  readonly route: string;
  readonly key: string;
}

/** What is known of a key: it is ours now, or the call that has it. */
export type Claim =
  | { readonly kind: 'ours' }
  | {
      readonly kind: 'theirs';
      readonly bodyHash: Buffer;
      readonly answer: { status: number; body: unknown } | null;
    };

const KEPT_HOURS = 24;

/** First answers of POSTs with an Idempotency-Key, sealed, kept for 24 hours. */
@Injectable()
export class IdempotencyRepository {
  constructor(
    private readonly db: Database,
    private readonly keyring: Keyring,
  ) {}

  /** Takes the key for this call, or tells who has it. One statement decides between two calls at once. */
  async claim(call: IdempotentCall, bodyHash: Buffer): Promise<Claim> {
    const { accountId, principalId, route, key } = call;
    const taken = await this.db.$executeRaw`
      INSERT INTO idempotency_key (account_id, principal_id, route, key, body_hash)
      VALUES (${accountId}, ${principalId}, ${route}, ${key}, ${bodyHash})
      ON CONFLICT (account_id, principal_id, route, key) DO UPDATE
      SET body_hash = excluded.body_hash, status = NULL, response = NULL, created_at = now()
      WHERE idempotency_key.created_at < now() - make_interval(hours => ${KEPT_HOURS}::int)`;
    if (taken === 1) return { kind: 'ours' };
    const row = await this.db.idempotencyKey.findUnique({
      where: { accountId_principalId_route_key: call },
    });
    if (!row) return this.claim(call, bodyHash);
    const answer =
      row.status !== null && row.response !== null
        ? {
            status: row.status,
            body: JSON.parse(this.keyring.open(row.response, place(call))) as unknown,
          }
        : null;
    return { kind: 'theirs', bodyHash: Buffer.from(row.bodyHash), answer };
  }

  async keep(call: IdempotentCall, answer: { status: number; body: unknown }): Promise<void> {
    const response = this.keyring.seal(JSON.stringify(answer.body ?? null), place(call));
    await this.db.idempotencyKey.update({
      where: { accountId_principalId_route_key: call },
      data: { status: answer.status, response },
    });
  }

  /** Gives the key back: the call did nothing. */
  async release(call: IdempotentCall): Promise<void> {
    await this.db.idempotencyKey.deleteMany({ where: { ...call, status: null } });
  }
}

const place = ({ accountId, principalId, route, key }: IdempotentCall) => ({
  table: 'idempotency_key',
  column: 'response',
  accountId,
  rowId: `${principalId} ${route} ${key}`,
});
