import { clientHeaders, type ClientFacts, type Level, type RefusalReason } from '@core/limits';
import type { KeyAnswer } from '../policies/policy-answer.js';
import {
  isObject,
  optionalNumber,
  optionalText,
  parseObject,
  UnreadableAnswer,
  type Fields,
} from '../service/json.js';
import { UNMATCHED_PATH, type Decision, type Judgement, type LimitState } from './decision.js';
import { ALLOWED } from './undecided.js';

/** A decision that the service made, read from its answer. */
export interface ServiceDecision extends Judgement {
  /** The policy by which the windows of its limits are told, once that is known. */
  policy: KeyAnswer | null;
}

/**
 * Reads a decision of the service; `at` is its instant in milliseconds of business time. Fields that are not known are
 * left alone, so that the service may learn to say more.
 */
export function readDecision(text: string, at: number): ServiceDecision {
  const fields = parseObject(text);
  const { allowed } = fields;
  if (typeof allowed !== 'boolean') throw new UnreadableAnswer('the answer has no "allowed"');
  const status = optionalNumber(fields, 'status') ?? 403;
  if (!allowed && (status < 400 || status > 599)) {
    throw new UnreadableAnswer(`a refusal with status ${status}`);
  }
  const refusal = {
    reason: reasonOf(fields),
    level: levelOf(fields),
    status,
    message: optionalText(fields, 'message') ?? 'Forbidden',
    errorType: optionalText(fields, 'errorType') ?? 'ForbiddenException',
    retryAfterMs: optionalNumber(fields, 'retryAfterMs'),
  };
  const decision: ServiceDecision = {
    allowed,
    decisionId: optionalText(fields, 'decisionId') ?? '',
    keyId: optionalText(fields, 'keyId'),
    customerId: optionalText(fields, 'customerId'),
    usagePlanId: optionalText(fields, 'usagePlanId'),
    resourcePath: optionalText(fields, 'resourcePath') ?? UNMATCHED_PATH,
    rate: limitState(fields['rate']),
    quota: limitState(fields['quota']),
    shadowed: optionalText(fields, 'shadowed'),
    ...(allowed ? ALLOWED : refusal),
    at,
    routeKey: undefined,
    policy: null,
    headers: () => ({ ...clientHeaders(clientFacts(decision)), ...errorType(decision) }),
  };
  return decision;
}

/** A refusal that may be newer than this plugin is told in the service's own words. */
const errorType = ({ allowed, errorType: type = '' }: Decision): Record<string, string> =>
  allowed ? {} : { 'x-amzn-ErrorType': type };

function clientFacts(decision: ServiceDecision): ClientFacts {
  const { rate, quota, policy, reason, retryAfterMs, at } = decision;
  const period = policy?.quota;
  return {
    reason: reason === undefined || reason === 'question-refused' ? null : reason,
    retryAfterMs: retryAfterMs ?? null,
    rate: rate
      ? { ...rate, limit: rate.limit, rateLimit: policy?.throttle?.rateLimit ?? Number.NaN }
      : null,
    quota: quota
      ? {
          limit: quota.limit,
          remaining: quota.remaining,
          resetMs: Math.max(0, Date.parse(quota.resetsAt) - at),
          periodMs: period ? period.periodToMs - period.periodFromMs : Number.NaN,
        }
      : null,
  };
}

const LEVELS: readonly Level[] = ['method', 'usage-plan', 'stage-method', 'account'];

const levelOf = (fields: Fields): Level | undefined =>
  LEVELS.find((level) => level === fields['level']);

const REASONS: readonly RefusalReason[] = [
  'missing-key',
  'unknown-key',
  'disabled-key',
  'blocked-customer',
  'expired-key',
  'no-plan',
  'ip-denied',
  'ambiguous-path',
  'throttled',
  'quota-exceeded',
  'unavailable',
];

/** A reason that is newer than this plugin is a refusal all the same. */
const reasonOf = (fields: Fields): RefusalReason =>
  REASONS.find((reason) => reason === fields['reason']) ?? 'unavailable';

function limitState(fields: unknown): LimitState | undefined {
  if (!isObject(fields)) return undefined;
  const limit = optionalNumber(fields, 'limit');
  const remaining = optionalNumber(fields, 'remaining');
  const resetsAt = optionalText(fields, 'resetsAt');
  if (limit === undefined || remaining === undefined || resetsAt === undefined) return undefined;
  return { limit, remaining, resetsAt };
}
