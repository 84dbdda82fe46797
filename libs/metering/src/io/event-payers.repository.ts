import { Injectable } from '@nestjs/common';
import type { PayerNames } from '@core/metering';
import { Database, PolicyEvents, SystemClock } from '@io/platform';

/** Whose usage an event is, and by which plan it is rated. */
export interface EventPayer {
  readonly customerId: string;
  /** '' when only the customer was named. */
  readonly keyId: string;
  /** Both '' when the event does not say. */
  readonly apiId: string;
  readonly stage: string;
  /** '' when nothing tells. */
  readonly usagePlanId: string;
}

/** Which attribute of the event names nothing, or too much. */
export interface UnknownPayer {
  readonly attribute:
    'subject' | 'tollgatekeyid' | 'tollgateapiid' | 'tollgatestage' | 'tollgateplanid';
  readonly detail: string;
}

interface PayerRow {
  n: number;
  keyCustomerId: string | null;
  customerId: string | null;
  isApi: boolean;
  isStage: boolean;
  isPlan: boolean;
  stagePlanId: string | null;
  latestPlanId: string | null;
  keyPlanIds: string[];
  pastPlanIds: string[];
  subscribedPlanIds: string[];
}

const PAYERS_MAX = 50_000;
/** When what is known must be gone at the latest, should the news of its change be lost. */
const TTL_MS = 30_000;

/**
 * Finds who is charged for events. What a key tells is kept for 30 s, or until the database tells that something of the
 * account changed; all else is looked up in one query a request.
 */
@Injectable()
export class EventPayersRepository {
  private readonly accounts = new Map<
    string,
    { readonly payers: Map<string, EventPayer>; readonly untilMs: number }
  >();
  private size = 0;
  /** Counts the news, so that a look-up that was under way while one came is not kept. */
  private changes = 0;

  constructor(
    private readonly db: Database,
    private readonly clock: SystemClock,
    events: PolicyEvents,
  ) {
    events.subscribe((change) => {
      if (change?.tokenId !== undefined) return;
      this.changes += 1;
      if (change === null) this.forgetAll();
      else this.forget(change.accountId);
    });
  }

  /** The payer of each, in their order. `now` is the account's business time: subscriptions that ended are past. */
  async payers(
    accountId: string,
    names: readonly PayerNames[],
    now: Date,
  ): Promise<(EventPayer | UnknownPayer)[]> {
    const known = this.knownOf(accountId);
    const missing = new Map<string, PayerNames>();
    const texts = names.map(textOf);
    for (const [n, text] of texts.entries()) {
      const one = names[n];
      if (one && !known?.has(text)) missing.set(text, one);
    }
    const found = missing.size > 0 ? await this.lookUp(accountId, missing, now) : NOTHING;
    return texts.map((text) => {
      const payer = known?.get(text) ?? found.get(text);
      if (!payer) throw new Error('each one was looked up');
      return payer;
    });
  }

  private async lookUp(
    accountId: string,
    missing: ReadonlyMap<string, PayerNames>,
    now: Date,
  ): Promise<Map<string, EventPayer | UnknownPayer>> {
    const changesBefore = this.changes;
    const names = [...missing.values()];
    const rows = await this.read(accountId, names, now);
    const mayKeep = changesBefore === this.changes;
    const found = new Map<string, EventPayer | UnknownPayer>();
    for (const row of rows) {
      const one = names[row.n - 1];
      if (!one) continue;
      const payer = payerFrom(row, one);
      found.set(textOf(one), payer);
      // Subscriptions come and go without news.
      if (mayKeep && 'customerId' in payer && isToldByKey(row, one))
        this.keep(accountId, textOf(one), payer);
    }
    return found;
  }

  private read(accountId: string, names: readonly PayerNames[], now: Date): Promise<PayerRow[]> {
    return this.db.$queryRaw<PayerRow[]>`
      SELECT q.n::int, k.customer_id AS "keyCustomerId", c.id AS "customerId",
        EXISTS (SELECT FROM api a WHERE a.account_id = ${accountId} AND a.id = q.api_id) AS "isApi",
        EXISTS (SELECT FROM stage s
          WHERE s.account_id = ${accountId} AND s.api_id = q.api_id AND s.name = q.stage) AS "isStage",
        EXISTS (SELECT FROM usage_plan p WHERE p.account_id = ${accountId} AND p.id = q.plan_id) AS "isPlan",
        (SELECT p.usage_plan_id FROM usage_plan_key_stage p
          WHERE p.account_id = ${accountId} AND p.key_id = k.id AND p.api_id = q.api_id AND p.stage = q.stage)
          AS "stagePlanId",
        (SELECT p.usage_plan_id FROM usage_plan_key_stage_past p
          WHERE p.account_id = ${accountId} AND p.key_id = k.id AND p.api_id = q.api_id AND p.stage = q.stage)
          AS "latestPlanId",
        ARRAY(SELECT p.usage_plan_id FROM usage_plan_key p
          WHERE p.account_id = ${accountId} AND p.key_id = k.id) AS "keyPlanIds",
        ARRAY(SELECT DISTINCT p.usage_plan_id FROM usage_plan_key_stage_past p
          WHERE p.account_id = ${accountId} AND p.key_id = k.id) AS "pastPlanIds",
        ARRAY(SELECT DISTINCT s.usage_plan_id FROM subscription_span s
          WHERE s.account_id = ${accountId} AND s.customer_id = coalesce(k.customer_id, c.id)
            AND (s.span_to IS NULL OR s.span_to > ${now})) AS "subscribedPlanIds"
      FROM unnest(
        ${names.map(({ keyId, subject }) => keyId || subject)}::text[],
        ${names.map(({ keyId }) => keyId !== '')}::boolean[],
        ${names.map(({ apiId }) => apiId)}::text[],
        ${names.map(({ stage }) => stage)}::text[],
        ${names.map(({ usagePlanId }) => usagePlanId)}::text[]
      ) WITH ORDINALITY AS q (named, is_key, api_id, stage, plan_id, n)
      LEFT JOIN api_key k ON k.account_id = ${accountId} AND k.id = q.named
      LEFT JOIN customer c ON c.account_id = ${accountId} AND c.id = q.named AND NOT q.is_key`;
  }

  private knownOf(accountId: string): Map<string, EventPayer> | undefined {
    const known = this.accounts.get(accountId);
    if (!known) return undefined;
    if (known.untilMs > this.clock.monotonicMs()) return known.payers;
    this.forget(accountId);
    return undefined;
  }

  private keep(accountId: string, text: string, payer: EventPayer): void {
    if (this.size >= PAYERS_MAX) this.forgetAll();
    const known = this.knownOf(accountId) ?? new Map<string, EventPayer>();
    if (!this.accounts.has(accountId))
      this.accounts.set(accountId, { payers: known, untilMs: this.clock.monotonicMs() + TTL_MS });
    if (!known.has(text)) this.size += 1;
    known.set(text, payer);
  }

  private forget(accountId: string): void {
    this.size -= this.accounts.get(accountId)?.payers.size ?? 0;
    this.accounts.delete(accountId);
  }

  private forgetAll(): void {
    this.accounts.clear();
    this.size = 0;
  }
}

const NOTHING: ReadonlyMap<string, EventPayer | UnknownPayer> = new Map();

/** The plan in this order: the one that is named, of the key on the stage, the only one of the key, of the customer. */
function payerFrom(row: PayerRow, names: PayerNames): EventPayer | UnknownPayer {
  const { apiId, stage } = names;
  const keyId = row.keyCustomerId === null ? '' : names.keyId || names.subject;
  const customerId = row.keyCustomerId ?? row.customerId;
  if (names.keyId === '' && names.subject === '')
    return unknown('subject', 'is required: the id of an API key or of a customer');
  if (customerId === null)
    return names.keyId === ''
      ? unknown('subject', 'is neither an API key nor a customer of this account')
      : unknown('tollgatekeyid', 'is not an API key of this account');
  if ((apiId === '') !== (stage === ''))
    return apiId === ''
      ? unknown('tollgateapiid', 'is required with tollgatestage')
      : unknown('tollgatestage', 'is required with tollgateapiid');
  if (apiId !== '' && row.latestPlanId === null) {
    if (!row.isApi) return unknown('tollgateapiid', 'is not an api of this account');
    if (!row.isStage) return unknown('tollgatestage', 'is not a stage of this api');
  }
  if (names.usagePlanId !== '' && !row.isPlan)
    return unknown('tollgateplanid', 'is not a usage plan of this account');
  const payer = { customerId, keyId, apiId, stage };
  const named = names.usagePlanId || row.stagePlanId || row.latestPlanId;
  if (named) return { ...payer, usagePlanId: named };
  for (const ids of [row.keyPlanIds, row.pastPlanIds, row.subscribedPlanIds]) {
    if (ids.length > 1)
      return unknown(
        names.keyId === '' ? 'subject' : 'tollgatekeyid',
        'has several usage plans: name one in tollgateplanid, or an api and stage',
      );
    if (ids[0] !== undefined) return { ...payer, usagePlanId: ids[0] };
  }
  return { ...payer, usagePlanId: '' };
}

const isToldByKey = (row: PayerRow, { usagePlanId }: PayerNames): boolean =>
  row.keyCustomerId !== null &&
  (usagePlanId !== '' || row.stagePlanId !== null || row.keyPlanIds.length === 1);

const unknown = (attribute: UnknownPayer['attribute'], detail: string): UnknownPayer => ({
  attribute,
  detail,
});

/** Attributes have no control characters. */
const textOf = ({ keyId, subject, apiId, stage, usagePlanId }: PayerNames) =>
  keyId === ''
    ? `\n${subject}\n${apiId}\n${stage}\n${usagePlanId}`
    : `${keyId}\n\n${apiId}\n${stage}\n${usagePlanId}`;
