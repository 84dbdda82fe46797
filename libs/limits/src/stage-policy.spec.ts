import { describe, expect, it } from 'vitest';
import { compileStagePolicy, type StageRules } from './stage-policy.js';

const SLOW = { rateLimit: 1, burstLimit: 1 };
const FAST = { rateLimit: 100, burstLimit: 100 };

const rules: StageRules = {
  apiId: 'petstore01',
  stage: 'prod',
  plan: { id: 'basic1', throttle: null, quota: null, onFailure: 'deny', shadow: false },
  ambiguousPath: 'refuse',
  ipPolicy: null,
  stageThrottle: FAST,
  methods: [
    {
      httpMethod: 'GET',
      resourcePath: '/pets/{petId}',
      planThrottle: null,
      stageThrottle: FAST,
      stageBucket: '*',
    },
    {
      httpMethod: 'ANY',
      resourcePath: '/orders',
      planThrottle: SLOW,
      stageThrottle: FAST,
      stageBucket: 'ANY /orders',
    },
  ],
};

const named = (policy: StageRules, method: string, path: string) => {
  const match = compileStagePolicy(policy).matchPath(method, path);
  return match.kind === 'method' ? match.method.name : match.kind;
};

describe('compileStagePolicy', () => {
  it.each([
    { method: 'GET', path: '/pets/42', is: 'GET /pets/{petId}', why: 'the template fits' },
    { method: 'PUT', path: '/orders', is: 'ANY /orders', why: 'ANY is every verb' },
    { method: 'PUT', path: '/pets/42', is: '*', why: 'no method has the verb' },
    { method: 'GET', path: '/pets/../orders', is: 'ambiguous', why: 'two may read it differently' },
  ])('finds $is for $method $path: $why', ({ method, path, is }) => {
    expect(named(rules, method, path)).toBe(is);
  });

  it('charges an ambiguous path as the slowest method where the api says so', () => {
    const strict: StageRules = { ...rules, ambiguousPath: 'strictest' };
    expect(named(strict, 'GET', '/pets/../pets/42')).toBe('ANY /orders');
  });

  it('finds the template that a gateway names, and the default for one that it has not', () => {
    const policy = compileStagePolicy(rules);
    expect(policy.matchResource('GET', '/pets/{petId}').name).toBe('GET /pets/{petId}');
    expect(policy.matchResource('PATCH', '/orders').name).toBe('ANY /orders');
    expect(policy.matchResource('GET', '/nothing').resourcePath).toBe('/{proxy+}');
  });
});
