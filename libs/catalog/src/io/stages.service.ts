import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import {
  InvalidRequest,
  NotFound,
  Pages,
  SystemClock,
  type Given,
  type IfMatch,
  type Page,
  type PageQuery,
} from '@io/platform';
import { parseMethodThrottles, type MethodThrottle } from '../method-throttle.js';
import type { Throttle } from '../throttle.js';
import { ApisRepository } from './apis.repository.js';
import { StagesRepository, type StageView } from './stages.repository.js';

/** A stage as it is asked for; `methodThrottles` is not yet checked. */
export interface StageRequest {
  readonly description?: string | null;
  readonly throttle?: Throttle | null;
  readonly methodThrottles?: Readonly<Record<string, unknown>>;
}

/** The stages of apis. */
@Injectable()
export class StagesService {
  constructor(
    private readonly stages: StagesRepository,
    private readonly apis: ApisRepository,
    private readonly pages: Pages,
    private readonly clock: SystemClock,
  ) {}

  async create(
    scope: Scope,
    key: { apiId: string; name: string },
    request: Given<StageRequest>,
  ): Promise<StageView> {
    const { description = null, throttle = null, methodThrottles = {} } = request;
    await this.requireApi(scope, key.apiId);
    return this.stages.create(scope, key, {
      description,
      throttle,
      methodThrottles: checked(methodThrottles),
    });
  }

  async get(scope: Scope, apiId: string, name: string): Promise<StageView> {
    const stage = await this.stages.find(scope, apiId, name);
    if (!stage) throw new NotFound('stage', name);
    return stage;
  }

  async list(scope: Scope, apiId: string, query: PageQuery): Promise<Page<StageView>> {
    await this.requireApi(scope, apiId);
    const list = `${scope.accountId} stages ${apiId}`;
    const request = this.pages.request(query, list);
    const stages = await this.stages.list(scope, apiId, request);
    return this.pages.page(stages, request, list, ({ createdAt, name }) => ({
      createdAt,
      id: name,
    }));
  }

  async update(
    scope: Scope,
    key: { apiId: string; name: string },
    { methodThrottles, ...change }: Given<StageRequest>,
    ifMatch: IfMatch,
  ): Promise<StageView> {
    return this.stages.update(
      scope,
      key,
      { ...change, ...(methodThrottles ? { methodThrottles: checked(methodThrottles) } : {}) },
      { ifMatch, now: this.clock.now() },
    );
  }

  delete(scope: Scope, apiId: string, name: string): Promise<void> {
    return this.stages.delete(scope, apiId, name);
  }

  private async requireApi(scope: Scope, apiId: string): Promise<void> {
    if (!(await this.apis.find(scope, apiId))) throw new NotFound('api', apiId);
  }
}

function checked(map: Readonly<Record<string, unknown>>): readonly MethodThrottle[] {
  const { throttles, faults } = parseMethodThrottles(map, '/methodThrottles');
  if (faults.length > 0) throw new InvalidRequest(faults.slice(0, 20));
  return throttles;
}
