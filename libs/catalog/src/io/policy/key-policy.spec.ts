import { compileStagePolicy, type StagePolicy } from '@core/limits';
import { expect, it } from 'vitest';
import { keyPolicy } from './key-policy.js';

const aStage = (apiId: string, stage: string) =>
  compileStagePolicy({
    apiId,
    stage,
    plan: {
      id: `${apiId}-${stage}`,
      throttle: null,
      quota: null,
      onFailure: 'deny',
      shadow: false,
    },
    ambiguousPath: 'refuse',
    ipPolicy: null,
    stageThrottle: null,
    methods: [],
  });

const loaded = (stages: readonly (StagePolicy | null)[]) => ({
  source: { row: '', stages },
  loadedAtMs: 0,
});

const aRow = {
  id: 'key',
  accountId: 'account',
  customerId: 'customer',
  enabled: true,
  isCustomerBlocked: false,
  expiresAt: null,
  isPast: false,
  ipPolicy: null,
  clockOffsetMs: '0',
  rateLimit: 1,
  burstLimit: 1,
  stages: [],
  overrides: [],
};

it('finds each stage of a key by api and name, and no other', () => {
  const stages = [aStage('a', 'prod'), aStage('a', 'test'), aStage('b', 'prod')];
  const key = keyPolicy(aRow, loaded([...stages, null]), 0);
  for (const stage of stages) expect(key.stage(stage.apiId, stage.stage)).toBe(stage);
  expect(key.stage('b', 'test')).toBeNull();
  expect(keyPolicy(aRow, loaded([]), 0).stage('a', 'prod')).toBeNull();
});
