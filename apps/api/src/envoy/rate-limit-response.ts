import { pushClientFields, refusalAnswer, type RefusalReason } from '@core/limits';
import type { Decision } from '@io/limits';
import { AnswerFrames, isQuotaNearer } from './answer-frames.js';
import { stringStruct } from './dynamic-metadata.js';
import type { DescribedCall } from './rate-limit-request.js';
import { field, numberField, slot, toBytes, type Slot } from './wire.js';

/** What one descriptor was answered; without a decision nobody could be found to decide about. */
export interface Answered {
  readonly call: DescribedCall | null;
  readonly decision: Decision | null;
}

/** Fields of `envoy.service.ratelimit.v3`, by their numbers in rls.proto and base.proto. */
const RESPONSE = {
  overallCode: 1,
  statuses: 2,
  responseHeadersToAdd: 3,
  rawBody: 5,
  dynamicMetadata: 6,
};
const STATUS = { code: 1, currentLimit: 2, limitRemaining: 3, durationUntilReset: 4 };
const RATE_LIMIT = { requestsPerUnit: 1, unit: 2, name: 3 };
const OK = 1;
const OVER_LIMIT = 2;
/** Units of time, by their numbers in rls.proto. */
const SECOND = 1;
const MINUTE = 2;
const HOUR = 3;
const DAY = 4;
const MONTH = 5;
const WEEK = 7;
const UINT32_MAX = 0xffff_ffff;
const DAY_MS = 86_400_000;

/** Decisions and when they were asked for, as bytes: for one call, which nearly all are, mostly over those of the call before. */
export class RateLimitResponses {
  private readonly frames = new AnswerFrames(1);

  /** The bytes are good until the next are asked for. */
  bytesOf(answered: readonly Answered[]): Buffer {
    const decision = answered.length === 1 ? answered[0]?.decision : null;
    if (!decision?.allowed) return toBytes(rateLimitResponse(answered));
    const known = this.frames.find(decision);
    if (known) return known;
    return this.frames.keep(rateLimitResponse(answered), { decision, leftAt: leftAt(decision) });
  }
}

/** One status for each descriptor in its place, and what the client is told: by the first that was refused. */
export function rateLimitResponse(answered: readonly Answered[]): string {
  const told = answered.find(({ decision }) => !decision?.allowed) ?? answered[0];
  const { decision = null, call = null } = told ?? {};
  let bytes = numberField(RESPONSE.overallCode, decision?.allowed ? OK : OVER_LIMIT);
  for (const each of answered) bytes += field(RESPONSE.statuses, statusOf(each.decision));
  bytes += decision ? toldClients(decision) : '';
  if (!decision?.allowed) bytes += refusal(decision?.reason ?? 'missing-key', decision !== null);
  if (decision && call)
    bytes += field(RESPONSE.dynamicMetadata, stringStruct(decision, call.apiId, call.stage));
  return bytes;
}

/** The answer when nothing could be decided: over the limit, since an RPC error could let the call pass. */
export function overLimitResponse(): Buffer {
  return toBytes(
    numberField(RESPONSE.overallCode, OVER_LIMIT) +
      headersOf(['retry-after', '1']) +
      refusal('unavailable', false),
  );
}

/** The body that Envoy sends the client. It is always a 429 there: the service can say no other status. */
function refusal(reason: RefusalReason, isTypeTold: boolean): string {
  const { message, errorType } = refusalAnswer(reason);
  const fields = [
    ...(isTypeTold ? [] : ['x-amzn-errortype', errorType]),
    'content-type',
    'application/json; charset=utf-8',
  ];
  return headersOf(fields) + field(RESPONSE.rawBody, `{"message":"${message}"}`);
}

function toldClients(decision: Decision): string {
  const fields: string[] = [];
  pushClientFields(fields, decision);
  return headersOf(fields);
}

/** Of name, value, name, value. */
function headersOf(fields: readonly string[]): string {
  let bytes = '';
  for (let i = 0; i < fields.length; i += 2) bytes += slotOf(fields[i] ?? '')(fields[i + 1] ?? '');
  return bytes;
}

const SLOTS = new Map<string, Slot>();

/** The place of a header; there are a handful of names, all of ours. */
function slotOf(name: string): Slot {
  const known = SLOTS.get(name);
  if (known) return known;
  const key = field(1, name.toLowerCase());
  const made = slot((value) => field(RESPONSE.responseHeadersToAdd, key + field(2, value)));
  SLOTS.set(name, made);
  return made;
}

/** The nearest limit: the one that refused, or the one with less left. */
function statusOf(decision: Decision | null): string {
  if (!decision) return OVER;
  const { allowed, rate, quota, reason, level } = decision;
  const code = allowed ? WITHIN : OVER;
  if (reason === 'throttled' && level !== 'usage-plan')
    return code + field(STATUS.durationUntilReset, duration(decision.retryAfterMs ?? Infinity));
  if (quota && (!rate || isQuotaNearer(rate, quota) || reason === 'quota-exceeded')) {
    return code + quotaLimit(quota.limit, quota.periodMs) + left(quota.remaining, quota.resetMs);
  }
  return rate ? code + rateLimit(rate.rateLimit) + left(rate.remaining, rate.resetMs) : code;
}

const WITHIN = numberField(STATUS.code, OK);
const OVER = numberField(STATUS.code, OVER_LIMIT);

const left = (remaining: number, resetMs: number) =>
  numberField(STATUS.limitRemaining, uint32(remaining)) +
  field(STATUS.durationUntilReset, duration(resetMs));

/** Where an answer with one status that lets pass says what is left: at the end of the status. */
function leftAt(decision: Decision): number | undefined {
  const { rate, quota } = decision;
  if (!rate || !quota) return undefined;
  const { remaining, resetMs } = isQuotaNearer(rate, quota) ? quota : rate;
  const head = numberField(RESPONSE.overallCode, OK) + field(RESPONSE.statuses, statusOf(decision));
  return head.length - left(remaining, resetMs).length;
}

/** The pace of the plan as whole calls: per second, or in the first longer unit in which it is whole. */
function rateLimit(perSecond: number): string {
  if (Number.isInteger(perSecond)) return currentLimit(perSecond, SECOND, 'key');
  if (Number.isInteger(perSecond * 60)) return currentLimit(perSecond * 60, MINUTE, 'key');
  return currentLimit(Math.round(perSecond * 3_600), HOUR, 'key');
}

function quotaLimit(limit: number, periodMs: number): string {
  if (periodMs <= DAY_MS) return currentLimit(limit, DAY, 'quota');
  return currentLimit(limit, periodMs <= 7 * DAY_MS ? WEEK : MONTH, 'quota');
}

const currentLimits = { key: new Map<number, string>(), quota: new Map<number, string>() };
const CURRENT_LIMITS_MAX = 1_000;

/** There are as many as plans, and each is asked for again and again. */
function currentLimit(requests: number, unit: number, name: 'key' | 'quota'): string {
  const known = currentLimits[name];
  const place = requests * 8 + unit;
  const before = known.get(place);
  if (before !== undefined) return before;
  const limit = field(
    STATUS.currentLimit,
    numberField(RATE_LIMIT.requestsPerUnit, uint32(requests)) +
      numberField(RATE_LIMIT.unit, unit) +
      field(RATE_LIMIT.name, name),
  );
  if (known.size >= CURRENT_LIMITS_MAX) known.clear();
  known.set(place, limit);
  return limit;
}

const uint32 = (value: number) => Math.min(Math.max(0, Math.floor(value)), UINT32_MAX);

/** A `google.protobuf.Duration` in whole seconds, rounded up; a day where waiting never helps. */
const duration = (ms: number) =>
  numberField(1, Number.isFinite(ms) ? uint32(Math.ceil(ms / 1_000)) : DAY_MS / 1_000);
