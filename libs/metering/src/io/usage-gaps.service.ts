import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import { decimal, type Period } from '@core/kernel';
import { RECORD_LIMITS, type BatchNumbers } from '@core/metering';
import { InvalidRequest, Pages, SystemClock, type Page, type PageQuery } from '@io/platform';
import { UsageGapsRepository, type GapWaiver } from './usage-gaps.repository.js';

/** A run of missing numbers, both ends included. */
export interface GapRange {
  readonly first: number;
  readonly last: number;
  readonly since: Date;
  readonly estimatedCalls: string | null;
}

/** The missing batches of one epoch of a gateway, but for those that were waived. */
export interface UsageGap {
  readonly gatewayId: string;
  readonly epoch: string;
  readonly highest: number;
  readonly missing: number;
  /** When a later batch first showed that these are missing, and how long ago that was. */
  readonly since: Date;
  readonly ageSeconds: number;
  /** Of the ranges that could be estimated; null when none could. */
  readonly estimatedCalls: string | null;
  readonly ranges: readonly GapRange[];
}

const RANGES_MAX = 1_000;

/** Batches that are missing, and what a person says about them. */
@Injectable()
export class UsageGapsService {
  constructor(
    private readonly gaps: UsageGapsRepository,
    private readonly pages: Pages,
    private readonly clock: SystemClock,
  ) {}

  /** Open gaps by gateway and epoch, the oldest first. */
  async open({ accountId }: Scope): Promise<UsageGap[]> {
    const now = this.clock.now().getTime();
    const gaps = new Map<string, UsageGap & { ranges: GapRange[] }>();
    for (const row of await this.gaps.open(accountId, RANGES_MAX)) {
      const { gatewayId, epoch, since, estimatedCalls } = row;
      const id = JSON.stringify([gatewayId, epoch]);
      const gap = gaps.get(id) ?? {
        gatewayId,
        epoch,
        highest: Number(row.highest),
        missing: Number(row.missing),
        since,
        ageSeconds: Math.max(0, Math.floor((now - since.getTime()) / 1_000)),
        estimatedCalls: null,
        ranges: [],
      };
      gap.ranges.push({ first: Number(row.first), last: Number(row.last), since, estimatedCalls });
      gaps.set(id, { ...gap, estimatedCalls: sum(gap.estimatedCalls, estimatedCalls) });
    }
    return [...gaps.values()];
  }

  /** Open gaps whose calls could lie in the period, at most `limit`. */
  touching(accountId: string, period: Period, limit: number): Promise<BatchNumbers[]> {
    return this.gaps.touching(accountId, period, { ...RECORD_LIMITS, limit });
  }

  /** Gives up on numbers that are missing. Once they are waived, a second time changes nothing. */
  waive(scope: Scope, numbers: BatchNumbers, reason: string): Promise<GapWaiver> {
    if (numbers.last < numbers.first)
      throw new InvalidRequest([{ pointer: '/last', detail: 'must not be below `first`' }]);
    return this.gaps.waive(scope, numbers, reason, this.clock.now());
  }

  /** Newest first; those whose batches came after all too. */
  async waivers(scope: Scope, query: PageQuery): Promise<Page<GapWaiver>> {
    const list = `${scope.accountId} usage gap waivers`;
    const request = this.pages.request(query, list);
    return this.pages.page(await this.gaps.waivers(scope, request), request, list);
  }

  /** Epochs with an open gap, over all accounts. */
  epochsWithGaps(): Promise<number> {
    return this.gaps.epochsWithGaps();
  }

  /** Age of the oldest open gap, over all accounts; 0 when there is none. */
  oldestGapSeconds(): Promise<number> {
    return this.gaps.oldestGapSeconds();
  }
}

const sum = (a: string | null, b: string | null) =>
  a === null || b === null ? (a ?? b) : decimal(a).add(b).toFixed();
