import type { Decision, DecisionSubject } from '@io/limits';
import { describe, expect, it } from 'vitest';
import { decisionJson } from './decision-answer.js';

const aSubject = (keyId: string, resourcePath = '/pets/{petId}'): DecisionSubject => ({
  keyId,
  customerId: `cus_of_${keyId}`,
  usagePlanId: 'plan',
  resourcePath,
  json: null,
  fields: null,
  struct: null,
});

const allowed = (subject: DecisionSubject): Decision => ({
  allowed: true,
  decisionId: 'dec_1',
  reason: null,
  level: null,
  retryAfterMs: null,
  keyId: subject.keyId,
  customerId: subject.customerId,
  usagePlanId: subject.usagePlanId,
  resourcePath: subject.resourcePath,
  rate: null,
  quota: null,
  shadowed: null,
  subject,
  atMs: 0,
});

describe('decisionJson', () => {
  it('says of each key its own, the first time and every other', () => {
    const [one, two] = [aSubject('one'), aSubject('two', '/caf\u00e9/"{name}"')];
    for (const subject of [one, two, one, two]) {
      const { keyId, customerId, usagePlanId, resourcePath } = subject;
      const text = decisionJson(allowed(subject));
      expect(JSON.parse(text)).toMatchObject({ keyId, customerId, usagePlanId, resourcePath });
      expect(text).toMatch(/^[ -~]*$/);
    }
  });

  it('says what is known when not all is', () => {
    const refused: Decision = {
      ...allowed(aSubject('known')),
      allowed: false,
      reason: 'no-plan',
      usagePlanId: null,
      resourcePath: null,
      subject: null,
    };
    expect(JSON.parse(decisionJson(refused))).toMatchObject({
      keyId: 'known',
      usagePlanId: null,
      resourcePath: null,
    });
  });
});
