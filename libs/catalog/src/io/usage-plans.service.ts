import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import {
  given,
  InvalidRequest,
  NotFound,
  Pages,
  SystemClock,
  type FieldFault,
  type Given,
  type IfMatch,
  type Page,
  type PageQuery,
} from '@io/platform';
import { parseMethodThrottles } from '../method-throttle.js';
import { quotaFaults, type QuotaPeriod } from '../quota.js';
import type { Throttle } from '../throttle.js';
import type { UsagePlanView } from './read-usage-plans.js';
import {
  UsagePlansRepository,
  type PlanStage,
  type UsagePlanSettings,
} from './usage-plans.repository.js';

/** A usage plan as it is asked for, in part or whole; quota and method throttles are not yet checked. */
export interface UsagePlanRequest {
  readonly name?: string;
  readonly description?: string | null;
  readonly apiStages?: readonly PlanStageRequest[];
  readonly throttle?: Throttle | null;
  readonly quota?: QuotaRequest | null;
  readonly productCode?: string | null;
  readonly onFailure?: string;
  readonly shadow?: boolean;
}

/** A stage that the plan is to offer. */
export interface PlanStageRequest {
  readonly apiId: string;
  readonly stage: string;
  readonly throttle?: Readonly<Record<string, unknown>>;
}

/** A quota whose offset, left out, is 0. */
export interface QuotaRequest {
  readonly limit: number;
  readonly offset?: number;
  readonly period: string;
}

/** Usage plans: which stages their keys may call, how fast and how often. */
@Injectable()
export class UsagePlansService {
  constructor(
    private readonly plans: UsagePlansRepository,
    private readonly pages: Pages,
    private readonly clock: SystemClock,
  ) {}

  async create(
    scope: Scope,
    request: Given<UsagePlanRequest> & { readonly name: string },
  ): Promise<UsagePlanView> {
    const { settings, stages } = checked(request);
    const defaults = {
      description: null,
      throttle: null,
      quota: null,
      productCode: null,
      onFailure: 'deny',
      shadow: false,
    };
    return this.plans.create(scope, { ...defaults, ...settings, name: request.name }, stages ?? []);
  }

  /** Null where there is none. */
  find(scope: Scope, id: string): Promise<UsagePlanView | null> {
    return this.plans.find(scope, id);
  }

  async get(scope: Scope, id: string): Promise<UsagePlanView> {
    const plan = await this.plans.find(scope, id);
    if (!plan) throw new NotFound('usage plan', id);
    return plan;
  }

  async list(
    scope: Scope,
    query: PageQuery & { readonly keyId?: string },
  ): Promise<Page<UsagePlanView>> {
    const { keyId = '' } = query;
    const list = `${scope.accountId} usage-plans ${keyId}`;
    const request = this.pages.request(query, list);
    const plans = await this.plans.list(scope, keyId === '' ? {} : { keyId }, request);
    return this.pages.page(plans, request, list);
  }

  async update(
    scope: Scope,
    id: string,
    request: Given<UsagePlanRequest>,
    ifMatch: IfMatch,
  ): Promise<UsagePlanView> {
    return this.plans.update(scope, id, checked(request), { ifMatch, now: this.clock.now() });
  }

  delete(scope: Scope, id: string): Promise<void> {
    return this.plans.delete(scope, id);
  }
}

function checked({ apiStages, quota, ...rest }: Given<UsagePlanRequest>): {
  settings: Partial<UsagePlanSettings>;
  stages: readonly PlanStage[] | null;
} {
  const faults: FieldFault[] = [];
  const settings: Partial<UsagePlanSettings> = {
    ...rest,
    ...(quota === undefined ? {} : { quota: quota && checkedQuota(quota, faults) }),
  };
  const stages = apiStages?.map((one, index) => checkedStage(one, index, faults)) ?? null;
  const seen = new Set<string>();
  for (const [index, { apiId, stage }] of (stages ?? []).entries()) {
    if (seen.has(`${apiId}:${stage}`)) {
      faults.push({ pointer: `/apiStages/${index}`, detail: 'names a stage a second time' });
    }
    seen.add(`${apiId}:${stage}`);
  }
  if (faults.length > 0) throw new InvalidRequest(faults.slice(0, 20));
  return { settings, stages };
}

function checkedQuota(request: QuotaRequest, faults: FieldFault[]) {
  const { limit, period } = request;
  const quota = { limit, offset: request.offset ?? 0, period };
  faults.push(...quotaFaults(quota, '/quota'));
  return { ...quota, period: period as QuotaPeriod };
}

function checkedStage(request: PlanStageRequest, index: number, faults: FieldFault[]): PlanStage {
  const { apiId, stage, throttle = {} } = given(request);
  const read = parseMethodThrottles(throttle, `/apiStages/${index}/throttle`);
  faults.push(...read.faults);
  return { apiId, stage, throttle: read.throttles };
}
