import type { IpLists, StageRules, ThrottleLimit } from '@core/limits';
import {
  booleanOf,
  instantOf,
  isObject,
  listOf,
  nullable,
  numberOf,
  objectOf,
  optionalText,
  textOf,
  UnreadableAnswer,
  wordOf,
  type Fields,
} from '../service/json.js';

/** The quota of a key in its plan, as of the period that is now. */
export interface KeyQuota {
  readonly limit: number;
  /** Half-open, in milliseconds of business time. */
  readonly periodFromMs: number;
  readonly periodToMs: number;
}

/** What a key may do on the gateway's stage, as `POST /v1/leases` tells it (docs/leases.md). */
export interface KeyAnswer {
  readonly keyId: string;
  readonly customerId: string;
  readonly enabled: boolean;
  /** In milliseconds of business time; null never. */
  readonly expiresAtMs: number | null;
  readonly ipPolicy: IpLists | null;
  /** Null when no plan of the key covers the stage; the limits then say nothing. */
  readonly usagePlanId: string | null;
  readonly throttle: ThrottleLimit | null;
  readonly quota: KeyQuota | null;
  readonly accountThrottle: ThrottleLimit;
}

/** Reads one of `keys`; null is a key that the account does not have. */
export function readKey(value: unknown): KeyAnswer | null {
  if (value === null) return null;
  if (!isObject(value)) throw new UnreadableAnswer('a key is no object');
  return {
    keyId: textOf(value, 'keyId'),
    customerId: textOf(value, 'customerId'),
    enabled: booleanOf(value, 'enabled'),
    expiresAtMs: value['expiresAt'] === null ? null : instantOf(value, 'expiresAt'),
    ipPolicy: readIpLists(value),
    usagePlanId: optionalText(value, 'usagePlanId') ?? null,
    throttle: nullable(value, 'throttle', readThrottle),
    quota: nullable(value, 'quota', readQuota),
    accountThrottle: readThrottle(objectOf(value, 'accountThrottle')),
  };
}

/**
 * Reads one of `stages`; null is a stage or plan that has gone. The plan in it carries no limits: those are told with
 * each key, after what is the key's own.
 */
export function readStage(
  value: unknown,
  { apiId, stage }: { readonly apiId: string; readonly stage: string },
): StageRules | null {
  if (value === null) return null;
  if (!isObject(value)) throw new UnreadableAnswer('a stage is no object');
  const plan = objectOf(value, 'plan');
  return {
    apiId,
    stage,
    plan: {
      id: textOf(plan, 'id'),
      onFailure: wordOf(plan, 'onFailure', ['deny', 'allow']),
      shadow: booleanOf(plan, 'shadow'),
      throttle: null,
      quota: null,
    },
    ambiguousPath: wordOf(value, 'ambiguousPath', ['refuse', 'strictest', 'normalise']),
    ipPolicy: readIpLists(value),
    stageThrottle: nullable(value, 'stageThrottle', readThrottle),
    methods: listOf(value, 'methods').map((method) => {
      if (!isObject(method)) throw new UnreadableAnswer('a method is no object');
      return {
        httpMethod: textOf(method, 'httpMethod'),
        resourcePath: textOf(method, 'resourcePath'),
        planThrottle: nullable(method, 'planThrottle', readThrottle),
        stageThrottle: nullable(method, 'stageThrottle', readThrottle),
        stageBucket: textOf(method, 'stageBucket'),
      };
    }),
  };
}

const readThrottle = (fields: Fields): ThrottleLimit => ({
  rateLimit: numberOf(fields, 'rateLimit'),
  burstLimit: numberOf(fields, 'burstLimit'),
});

const readQuota = (fields: Fields): KeyQuota => ({
  limit: numberOf(fields, 'limit'),
  periodFromMs: instantOf(fields, 'periodFrom'),
  periodToMs: instantOf(fields, 'periodTo'),
});

const readIpLists = (fields: Fields): IpLists | null =>
  nullable(fields, 'ipPolicy', (lists) => ({
    allow: listOf(lists, 'allow').map(String),
    deny: listOf(lists, 'deny').map(String),
  }));
