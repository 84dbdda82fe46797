import {
  RateAuthority,
  type RateBucket,
  type RateGrant,
  type RateReturn,
  type RateWish,
  type StageRules,
} from '@core/limits';
import { readKey, readStage, type KeyAnswer } from '../policies/policy-answer.js';
import {
  instantOf,
  isObject,
  listOf,
  nullable,
  numberOf,
  optionalNumber,
  parseObject,
  UnreadableAnswer,
  type Fields,
} from '../service/json.js';
import type { ServiceClient } from '../service/service-client.js';

/** A bucket as `POST /v1/leases` names it (docs/leases.md). */
export type WireBucket =
  | { readonly level: 'usage-plan'; readonly keyId: string; readonly usagePlanId: string }
  | {
      readonly level: 'method';
      readonly keyId: string;
      readonly usagePlanId: string;
      readonly apiId: string;
      readonly stage: string;
      readonly method: string;
    }
  | {
      readonly level: 'stage-method';
      readonly apiId: string;
      readonly stage: string;
      readonly method: string;
    }
  | { readonly level: 'account' };

/** A bucket with the name under which the service knows it. */
export interface ServiceBucket extends RateBucket {
  readonly wire: WireBucket;
}

/** A block of a key's quota that is wanted. */
export interface QuotaWish {
  readonly keyId: string;
  readonly usagePlanId: string;
  readonly asked: number;
  readonly wanted: number;
  /** What was spent of this quota since it was last told. */
  readonly spent: number;
}

/** What became of it. */
export interface QuotaGrant {
  readonly granted: number;
  readonly remaining: number;
  readonly limit: number;
  /** Half-open, in milliseconds of business time. */
  readonly periodFromMs: number;
  readonly periodToMs: number;
}

/** Units of a quota that nobody spent, perhaps none, with what was. */
export interface QuotaReturn {
  readonly keyId: string;
  readonly usagePlanId: string;
  readonly periodFromMs: number;
  readonly units: number;
  readonly spent: number;
}

/** The service refuses to be asked: a wrong token. No plan's policy softens that. */
export class QuestionRefused extends Error {
  override readonly name = 'QuestionRefused';

  constructor(readonly status: number) {
    super(`HTTP ${status}`);
  }
}

/** Who asks, and about what. */
export interface LeaseHolder {
  readonly client: ServiceClient;
  /** Names this process; the epoch of its usage batches. */
  readonly holder: string;
  readonly apiId: string;
  readonly stage: string;
  /** The id of the last event that was heard; undefined without a stream. */
  lastEventId(): string | undefined;
  /** The service answered after it had not been heard of for so long that units of quotas are void. */
  onSilence(): void;
}

/**
 * How long units of quotas hold from the last question that was answered, by when that was sent; the service may give
 * what was held to others a little later.
 */
export const QUOTAS_HOLD_MS = 45_000;
const LIST_MAX = 1_000;
/** Its answers are long: up to a thousand methods each. */
const STAGES_MAX = 10;
/** Longer than any call waits: what was granted late is spent by the next. */
const QUESTION_MS = 2_000;
/** A service that is older than leases decides on every call itself; it is asked for them again after so long. */
const UNSUPPORTED_MS = 60_000;
const NOT_FOUND = 404;
const ANSWER_CHARS_MAX = 64 * 1024 * 1024;

/**
 * Asks `POST /v1/leases`: one question at a time, for all that was wanted in the meantime.
 *
 * What a failed question gave back stays spent for the service or not, nobody knows: it is not sent again, since
 * giving back twice would hand out calls twice.
 */
export class LeaseClient extends RateAuthority {
  private readonly keys = new Waiting<string, KeyAnswer | null>(LIST_MAX);
  private readonly stages = new Waiting<string, StageRules | null>(STAGES_MAX);
  private readonly rates = new Waiting<RateWish, RateGrant>(LIST_MAX);
  private readonly quotas = new Waiting<QuotaWish, QuotaGrant | null>(LIST_MAX);
  private readonly rateReturns = new Waiting<RateReturn, void>(LIST_MAX);
  private readonly quotaReturns = new Waiting<QuotaReturn, void>(LIST_MAX);
  private readonly all = [
    this.keys,
    this.stages,
    this.rates,
    this.quotas,
    this.rateReturns,
    this.quotaReturns,
  ];
  private isAsking = false;
  private unsupportedUntilMs = Number.NEGATIVE_INFINITY;
  private answeredQuestionSentAtMs = Number.NEGATIVE_INFINITY;
  private questions = 0;

  constructor(private readonly holder: LeaseHolder) {
    super();
  }

  /** When the last question that was answered was sent, by `performance.now()`. */
  get answeredSentAtMs(): number {
    return this.answeredQuestionSentAtMs;
  }

  /** How many questions were asked. */
  get asked(): number {
    return this.questions;
  }

  /** What a key may do; null when the account has no such key. */
  keyPolicy(apiKey: string): Promise<KeyAnswer | null> {
    return this.wait(this.keys, apiKey);
  }

  /** What limits the gateway's stage under a plan; null when one of them has gone. */
  stagePolicy(usagePlanId: string): Promise<StageRules | null> {
    return this.wait(this.stages, usagePlanId);
  }

  /** Blocks of rates. Rejects when the service cannot be asked. */
  override lease(wishes: readonly RateWish[]): Promise<RateGrant[]> {
    return Promise.all(wishes.map((wish) => this.wait(this.rates, wish)));
  }

  override async giveBack(returns: readonly RateReturn[]): Promise<void> {
    await Promise.all(returns.map((one) => this.wait(this.rateReturns, one)));
  }

  /** Blocks of quotas, null for one that has gone. Rejects when the service cannot be asked. */
  leaseQuotas(wishes: readonly QuotaWish[]): Promise<(QuotaGrant | null)[]> {
    return Promise.all(wishes.map((wish) => this.wait(this.quotas, wish)));
  }

  async giveBackQuotas(returns: readonly QuotaReturn[]): Promise<void> {
    await Promise.all(returns.map((one) => this.wait(this.quotaReturns, one)));
  }

  /** Says that this process lives. */
  async greet(): Promise<void> {
    if (!this.isAsking) await this.ask();
  }

  private wait<Question, Answer>(
    waiting: Waiting<Question, Answer>,
    question: Question,
  ): Promise<Answer> {
    if (performance.now() < this.unsupportedUntilMs) {
      return Promise.reject(new QuestionRefused(NOT_FOUND));
    }
    const answer = waiting.add(question);
    if (!this.isAsking) void this.askAll();
    return answer;
  }

  private async askAll(): Promise<void> {
    this.isAsking = true;
    do {
      // Calls that came together are in one question, and what they ask for next in the one after it.
      await new Promise((resolve) => setImmediate(resolve));
      await this.ask();
    } while (this.all.some((waiting) => waiting.size > 0));
    // At once: whoever comes after that look has to begin anew.
    this.isAsking = false;
  }

  private async ask(): Promise<void> {
    const sentAtMs = performance.now();
    const asked = {
      keys: this.keys.take(),
      stages: this.stages.take(),
      rates: this.rates.take(),
      quotas: this.quotas.take(),
      rateReturns: this.rateReturns.take(),
      quotaReturns: this.quotaReturns.take(),
    };
    this.questions += 1;
    try {
      const mayRepeat = [asked.quotas, asked.rateReturns, asked.quotaReturns].every(
        ({ size }) => size === 0,
      );
      const fields = await this.post(this.question(asked, sentAtMs), mayRepeat);
      if (performance.now() >= this.answeredQuestionSentAtMs + QUOTAS_HOLD_MS) {
        this.holder.onSilence();
      }
      this.answeredQuestionSentAtMs = sentAtMs;
      const { apiId, stage } = this.holder;
      asked.keys.answer(listOf(fields, 'keys'), readKey);
      asked.stages.answer(listOf(fields, 'stages'), (value) => readStage(value, { apiId, stage }));
      asked.rates.answer(listOf(fields, 'rates'), readRateGrant);
      asked.quotas.answer(listOf(fields, 'quotas'), readQuotaGrant);
      asked.rateReturns.done();
      asked.quotaReturns.done();
    } catch (error) {
      for (const list of Object.values(asked)) list.fail(error);
    }
  }

  private question(
    asked: Pick<Asked, 'keys' | 'stages' | 'rates' | 'quotas' | 'rateReturns' | 'quotaReturns'>,
    sentAtMs: number,
  ): string {
    const { holder, apiId, stage } = this.holder;
    const seen = this.holder.lastEventId();
    return JSON.stringify({
      holder,
      ...(seen === undefined ? {} : { seen }),
      ...some(
        'keys',
        asked.keys.map((apiKey) => ({ apiKey, apiId, stage })),
      ),
      ...some(
        'stages',
        asked.stages.map((usagePlanId) => ({ usagePlanId, apiId, stage })),
      ),
      ...some(
        'rates',
        asked.rates.map(({ bucket, asked: wish, least, wanted }) => ({
          bucket: wireOf(bucket),
          asked: wish,
          least,
          wanted,
        })),
      ),
      ...some(
        'quotas',
        asked.quotas.map((wish) => wish),
      ),
      returns: {
        ...some(
          'rates',
          asked.rateReturns.map(({ bucket, units, heldMs }, waitedSinceMs) => ({
            bucket: wireOf(bucket),
            units,
            heldMs: Math.ceil(heldMs + sentAtMs - waitedSinceMs),
          })),
        ),
        ...some('quotas', joined(asked.quotaReturns)),
      },
    });
  }

  private async post(body: string, mayRepeat: boolean): Promise<Fields> {
    const { status, text } = await this.holder.client.post('/v1/leases', body, {
      deadlineMs: QUESTION_MS,
      answerCharsMax: ANSWER_CHARS_MAX,
      mayRepeat,
    });
    if (status === 200) return parseObject(text);
    if (status === NOT_FOUND) this.unsupportedUntilMs = performance.now() + UNSUPPORTED_MS;
    if (status >= 400 && status < 500 && status !== 429) throw new QuestionRefused(status);
    throw new UnreadableAnswer(`HTTP ${status}`);
  }
}

interface Asked {
  readonly keys: Batch<string, KeyAnswer | null>;
  readonly stages: Batch<string, StageRules | null>;
  readonly rates: Batch<RateWish, RateGrant>;
  readonly quotas: Batch<QuotaWish, QuotaGrant | null>;
  readonly rateReturns: Batch<RateReturn, void>;
  readonly quotaReturns: Batch<QuotaReturn, void>;
}

interface Item<Question, Answer> {
  readonly question: Question;
  readonly sinceMs: number;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

/** Questions of one kind that wait to be asked. */
class Waiting<Question, Answer> {
  private items: Item<Question, Answer>[] = [];

  constructor(private readonly most: number) {}

  get size(): number {
    return this.items.length;
  }

  add(question: Question): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.items.push({ question, sinceMs: performance.now(), resolve, reject });
    });
  }

  /** As many as fit into one request, no longer waiting. */
  take(): Batch<Question, Answer> {
    const taken = this.items.slice(0, this.most);
    this.items = this.items.slice(this.most);
    return new Batch(taken);
  }
}

/** Questions of one kind that were asked together. */
class Batch<Question, Answer> {
  constructor(private readonly items: readonly Item<Question, Answer>[]) {}

  get size(): number {
    return this.items.length;
  }

  map<T>(toWire: (question: Question, sinceMs: number) => T): T[] {
    return this.items.map(({ question, sinceMs }) => toWire(question, sinceMs));
  }

  /** Hands each its answer, which are in the order of the questions. */
  answer(values: readonly unknown[], read: (value: unknown) => Answer): void {
    if (values.length !== this.items.length) {
      throw new UnreadableAnswer(`${values.length} answers to ${this.items.length} questions`);
    }
    for (const [index, item] of this.items.entries()) item.resolve(read(values[index]));
  }

  done(this: Batch<Question, void>): void {
    for (const { resolve } of this.items) resolve();
  }

  fail(error: unknown): void {
    for (const { reject } of this.items) reject(error);
  }
}

/** Returns as they are sent: a question names a quota of a period once. */
function joined(returns: Batch<QuotaReturn, void>): object[] {
  const byName = new Map<string, QuotaReturn>();
  for (const one of returns.map((back) => back)) {
    const name = `${one.usagePlanId}/${one.keyId}/${one.periodFromMs}`;
    const { units = 0, spent = 0 } = byName.get(name) ?? {};
    byName.set(name, { ...one, units: one.units + units, spent: one.spent + spent });
  }
  return [...byName.values()].map(({ periodFromMs, ...rest }) => ({
    ...rest,
    periodFrom: new Date(periodFromMs).toISOString(),
  }));
}

/** The list under its name, or nothing when it is empty. */
const some = <T>(name: string, list: readonly T[]) => (list.length === 0 ? {} : { [name]: list });

function wireOf(bucket: RateBucket): WireBucket {
  if (!isServiceBucket(bucket)) throw new TypeError(`"${bucket.name}" is no bucket of the service`);
  return bucket.wire;
}

const isServiceBucket = (bucket: RateBucket): bucket is ServiceBucket => 'wire' in bucket;

/** Null: whose bucket it was is gone. Nothing is granted, and nothing will be before the policy is asked for again. */
function readRateGrant(value: unknown): RateGrant {
  if (value === null) return { granted: 0, remaining: 0, retryAfterMs: 1_000, resetMs: 1_000 };
  if (!isObject(value)) throw new UnreadableAnswer('a rate is no object');
  return {
    granted: numberOf(value, 'granted'),
    remaining: numberOf(value, 'remaining'),
    retryAfterMs: optionalNumber(value, 'retryAfterMs') ?? Infinity,
    resetMs: optionalNumber(value, 'resetMs') ?? Infinity,
  };
}

const readQuotaGrant = (value: unknown): QuotaGrant | null =>
  nullable({ value }, 'value', (fields) => ({
    granted: numberOf(fields, 'granted'),
    remaining: numberOf(fields, 'remaining'),
    limit: numberOf(fields, 'limit'),
    periodFromMs: instantOf(fields, 'periodFrom'),
    periodToMs: instantOf(fields, 'periodTo'),
  }));
