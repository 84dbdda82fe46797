import { Injectable } from '@nestjs/common';
import { Database, PolicyEvents, SystemClock, type PolicyChange } from '@io/platform';

/** Whose usage of a stage with a key it is. */
export interface UsageOwner {
  readonly keyId: string;
  readonly apiId: string;
  readonly stage: string;
  readonly customerId: string;
  /** The plan that covers the key there; '' when none ever did. */
  readonly usagePlanId: string;
  /** The plan that covered it before, and until when, by the system's clock: an upgrade moves a key within a period. */
  readonly left?: { readonly usagePlanId: string; readonly untilMs: number };
}

type Place = Pick<UsageOwner, 'keyId' | 'apiId' | 'stage'>;

interface OwnerRow {
  keyId: string;
  apiId: string;
  stage: string;
  customerId: string | null;
  apiName: string | null;
  stageName: string | null;
  coveringPlanId: string | null;
  latestPlanId: string | null;
  leftAt: Date | null;
}

/** What is known of a place: its owner, or which of its three fields names nothing of this account. */
export type FoundOwner = UsageOwner | { readonly unknown: 'keyId' | 'apiId' | 'stage' };

/** What a gateway is told of a place that names nothing of its account. */
export const UNKNOWN_PLACES = {
  keyId: { reason: 'unknown-key', detail: 'is not an API key of this account' },
  apiId: { reason: 'unknown-api', detail: 'is not an api of this account' },
  stage: { reason: 'unknown-stage', detail: 'is not a stage of this api' },
} as const;

/** The owners of one account's keys, by key; a key is used on a few stages. */
type OwnersByKey = Map<string, { readonly owners: UsageOwner[]; readonly untilMs: number }>;

const KEYS_MAX = 50_000;
/** When what is known must be gone at the latest, should the news of its change be lost. */
const TTL_MS = 30_000;

/**
 * Finds customer and usage plan of (key, api, stage). Known ones are kept for 30 s, or until the database tells
 * that something changed; a batch's unknown ones are looked up in one query. Deleted keys are found too: their last usage comes late.
 */
@Injectable()
export class UsageOwnersRepository {
  private readonly accounts = new Map<string, OwnersByKey>();
  private keys = 0;
  /** Counts the news, so that a look-up that was under way while one came is not kept. */
  private changes = 0;

  constructor(
    private readonly db: Database,
    private readonly clock: SystemClock,
    events: PolicyEvents,
  ) {
    events.subscribe((change) => this.forget(change));
  }

  /**
   * Whose usage at an instant of the account's clock is: of the plan that covered the key then, as far as the last one that it left is known.
   * The same owner where nothing was left since.
   */
  ownerAt(owner: UsageOwner, atMs: number, now: Date): UsageOwner {
    const { left } = owner;
    const systemMs = atMs - (now.getTime() - this.clock.now().getTime());
    return left && systemMs < left.untilMs ? { ...owner, usagePlanId: left.usagePlanId } : owner;
  }

  /** The owner of each place, in their order. */
  async owners(accountId: string, places: readonly Place[]): Promise<FoundOwner[]> {
    const known = this.accounts.get(accountId);
    const nowMs = this.clock.monotonicMs();
    const missing = new Map<string, Place>();
    for (const place of places) {
      if (!ownerOf(known, place, nowMs)) missing.set(placeText(place), place);
    }
    const found = await this.lookUp(accountId, missing);
    return places.map(
      (place) =>
        ownerOf(known, place, nowMs) ?? found.get(placeText(place)) ?? { unknown: 'keyId' },
    );
  }

  private async lookUp(
    accountId: string,
    missing: ReadonlyMap<string, Place>,
  ): Promise<Map<string, FoundOwner>> {
    const found = new Map<string, FoundOwner>();
    if (missing.size === 0) return found;
    const changesBefore = this.changes;
    const rows = await this.read(accountId, [...missing.values()]);
    const mayKeep = changesBefore === this.changes;
    for (const row of rows) {
      const owner = ownerFrom(row);
      found.set(placeText(row), owner);
      // A plan that the key has left, or none, may be another a second later.
      if (mayKeep && row.coveringPlanId !== null && 'customerId' in owner)
        this.keep(accountId, owner);
    }
    return found;
  }

  /** A stage that is gone is still known by the keys that were on it, and so is the plan that a key has left since. */
  private read(accountId: string, places: readonly Place[]): Promise<OwnerRow[]> {
    return this.db.$queryRaw<OwnerRow[]>`
      SELECT q.key_id AS "keyId", q.api_id AS "apiId", q.stage,
        k.customer_id AS "customerId", a.id AS "apiName", s.name AS "stageName",
        p.usage_plan_id AS "coveringPlanId", h.usage_plan_id AS "latestPlanId", h.left_at AS "leftAt"
      FROM unnest(
        ${places.map(({ keyId }) => keyId)}::text[],
        ${places.map(({ apiId }) => apiId)}::text[],
        ${places.map(({ stage }) => stage)}::text[]
      ) AS q (key_id, api_id, stage)
      LEFT JOIN api_key k ON k.account_id = ${accountId} AND k.id = q.key_id
      LEFT JOIN api a ON a.account_id = ${accountId} AND a.id = q.api_id
      LEFT JOIN stage s ON s.account_id = ${accountId} AND s.api_id = q.api_id AND s.name = q.stage
      LEFT JOIN usage_plan_key_stage p
        ON p.account_id = ${accountId} AND p.key_id = q.key_id AND p.api_id = q.api_id AND p.stage = q.stage
      LEFT JOIN usage_plan_key_stage_past h
        ON h.account_id = ${accountId} AND h.key_id = q.key_id AND h.api_id = q.api_id AND h.stage = q.stage`;
  }

  private keep(accountId: string, owner: UsageOwner): void {
    if (this.keys >= KEYS_MAX) this.forget(null);
    const known: OwnersByKey = this.accounts.get(accountId) ?? new Map();
    this.accounts.set(accountId, known);
    const nowMs = this.clock.monotonicMs();
    const entry = known.get(owner.keyId);
    if (entry && entry.untilMs > nowMs) {
      if (!ownerOf(known, owner, nowMs)) entry.owners.push(owner);
      return;
    }
    if (!entry) this.keys += 1;
    known.set(owner.keyId, { owners: [owner], untilMs: nowMs + TTL_MS });
  }

  private forget(change: PolicyChange): void {
    if (change?.tokenId !== undefined) return;
    this.changes += 1;
    if (change === null) {
      this.accounts.clear();
      this.keys = 0;
      return;
    }
    const known = this.accounts.get(change.accountId);
    if (!known) return;
    if (change.keyId !== undefined) {
      if (known.delete(change.keyId)) this.keys -= 1;
      return;
    }
    this.keys -= known.size;
    this.accounts.delete(change.accountId);
  }
}

function ownerOf(
  known: OwnersByKey | undefined,
  place: Place,
  nowMs: number,
): UsageOwner | undefined {
  const entry = known?.get(place.keyId);
  if (!entry || entry.untilMs <= nowMs) return undefined;
  for (const owner of entry.owners) {
    if (owner.apiId === place.apiId && owner.stage === place.stage) return owner;
  }
  return undefined;
}

function ownerFrom(row: OwnerRow): FoundOwner {
  const { keyId, apiId, stage, customerId, latestPlanId } = row;
  if (customerId === null) return { unknown: 'keyId' };
  if (row.apiName === null && latestPlanId === null) return { unknown: 'apiId' };
  if (row.stageName === null && latestPlanId === null) return { unknown: 'stage' };
  const owner = { keyId, apiId, stage, customerId };
  const { coveringPlanId, leftAt } = row;
  if (coveringPlanId === null) return { ...owner, usagePlanId: latestPlanId ?? '' };
  const usagePlanId = coveringPlanId;
  if (latestPlanId === null || leftAt === null || latestPlanId === coveringPlanId)
    return { ...owner, usagePlanId };
  return { ...owner, usagePlanId, left: { usagePlanId: latestPlanId, untilMs: leftAt.getTime() } };
}

/** None of the three has a control character. */
const placeText = ({ keyId, apiId, stage }: Place) => `${keyId}\n${apiId}\n${stage}`;
