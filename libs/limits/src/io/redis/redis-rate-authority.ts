import assert from 'node:assert';
import { createHash } from 'node:crypto';
import { Cluster, type Redis } from 'ioredis';
import {
  Breaker,
  RateAuthority,
  type RateBucket,
  type RateGrant,
  type RateReturn,
  type RateWish,
} from '@core/limits';
import { leaseRates } from './lease-rates.lua.js';
import { slotOf } from './slot.js';

/** How long a process waits for Redis: a call that hears nothing by then is answered as its plan says. */
export const DEADLINE_MS = 40;
/** A busy process asks 250 times a second, however many calls it decides; an idle one at once. */
const GATHER_MS = 4;
/** So many buckets at most in one script, which Redis runs alone: about 2 ms. */
const QUESTIONS_MAX = 512;
/** A longer field would make Redis keep the hash as a table, at several times the memory (`hash-max-listpack-value`). */
const FIELD_MAX = 64;
/** Upper bounds of the classes in which durations are counted, in milliseconds. */
const DURATIONS_MS = [0.5, 1, 2, 5, 10, 20, 40, Infinity];
const DOUBLE = 8;
const TOLERANCE = 1e-6;

/** What one authority did since it began, for `/metrics`. */
export interface RedisRateStats {
  /** Whether the last question was answered. */
  readonly isUp: boolean;
  /** Scripts sent, and how many of them were not answered in time or with an error. */
  readonly commands: number;
  readonly failures: number;
  /** Not sent, because Redis had not answered before. */
  readonly notAsked: number;
  /** How many answers came within `atMostMs`, and not within the one before it. */
  readonly durations: readonly { readonly atMostMs: number; readonly count: number }[];
  readonly durationMsSum: number;
}

/** A question about one bucket: units that come back, or a wish. */
interface Question {
  readonly bucket: RateBucket;
  readonly units: number;
  readonly heldMs: number;
  readonly asked: number;
  readonly least: number;
  readonly wanted: number;
}

/** One run of the script: buckets of homes that are in one slot. */
interface Script {
  readonly slot: number;
  readonly keys: string[];
  readonly args: (string | number)[];
  /** Which questions these are, in the order of the answers. */
  readonly indexes: number[];
}

/** What may differ from one authority to the next. */
export interface RedisRateOptions {
  /** Hears when a node of a Cluster stops answering, with the reason, and null when it answers again. */
  readonly tell?: (node: string, error: unknown) => void;
  readonly deadlineMs?: number;
  /** Another clock for the same script. */
  readonly script?: string;
}

/** One server: of a Cluster they fail one by one. */
interface Node {
  readonly name: string;
  readonly breaker: Breaker;
  isUp: boolean;
}

/**
 * The truth about rates in Redis: one script for all buckets of a question, and in a Redis Cluster one for each slot. Redis'
 * own clock counts. A question that is not answered by its deadline is given up; what it debited is lost to everyone until it
 * has refilled. After five of those in a row the node is asked once a second only, so that nobody waits for it.
 */
export class RedisRateAuthority extends RateAuthority {
  override readonly gatherMs = GATHER_MS;
  private readonly sha: string;
  private readonly nodes = new Map<string, Node>();
  private readonly durations = DURATIONS_MS.map(() => 0);
  private readonly counts = { commands: 0, failures: 0, notAsked: 0, durationMsSum: 0 };
  private readonly script: string;
  private readonly deadlineMs: number;

  constructor(
    private readonly redis: Redis | Cluster,
    private readonly monotonicMs: () => number,
    private readonly options: RedisRateOptions = {},
  ) {
    super();
    this.script = options.script ?? leaseRates();
    this.deadlineMs = options.deadlineMs ?? DEADLINE_MS;
    this.sha = createHash('sha1').update(this.script).digest('hex');
  }

  async lease(wishes: readonly RateWish[]): Promise<(RateGrant | null)[]> {
    const grants = wishes.map((): RateGrant | null => null);
    await this.ask(
      wishes.map((wish) => ({ ...wish, units: 0, heldMs: 0 })),
      (index, granted, spent) => {
        const wish = wishes[index];
        if (wish) grants[index] = toGrant(wish, granted, spent);
      },
    );
    return grants;
  }

  async giveBack(returns: readonly RateReturn[]): Promise<void> {
    const questions = returns.map((back) => ({ ...back, asked: 0, least: 0, wanted: 0 }));
    await this.ask(questions, () => undefined);
  }

  stats(): RedisRateStats {
    const durations = DURATIONS_MS.map((atMostMs, index) => ({
      atMostMs,
      count: this.durations[index] ?? 0,
    }));
    const isUp = [...this.nodes.values()].every((node) => node.isUp);
    return { ...this.counts, isUp, durations };
  }

  /** Rejects when the only server cannot be asked; what a node of a Cluster cannot be asked stays without an answer. */
  private async ask(
    questions: readonly Question[],
    answer: (index: number, granted: number, spent: number) => void,
  ): Promise<void> {
    await Promise.all(
      this.scripts(questions).map(async (script) => {
        let reply;
        try {
          reply = await this.run(script);
        } catch (error) {
          if (this.redis.isCluster) return;
          throw error;
        }
        for (const [at, index] of script.indexes.entries()) {
          const offset = at * 2 * DOUBLE;
          answer(index, reply.readDoubleLE(offset), reply.readDoubleLE(offset + DOUBLE));
        }
      }),
    );
  }

  /** The fewest scripts that ask all of this. */
  private scripts(questions: readonly Question[]): Script[] {
    const homes = new Map<string, number[]>();
    for (const [index, { bucket }] of questions.entries()) {
      const indexes = homes.get(bucket.home);
      if (indexes) indexes.push(index);
      else homes.set(bucket.home, [index]);
    }
    const scripts: Script[] = [];
    const open = new Map<number, Script>();
    for (const [home, indexes] of homes) {
      const slot = this.redis.isCluster ? slotOf(home) : 0;
      let script = open.get(slot);
      if (!script || script.indexes.length >= QUESTIONS_MAX) {
        script = { slot, keys: [], args: [], indexes: [] };
        scripts.push(script);
        open.set(slot, script);
      }
      script.keys.push(`tg1:{${home}}`);
      script.args.push(indexes.length);
      for (const index of indexes) {
        const question = questions[index];
        if (question) script.args.push(...toArguments(question));
        script.indexes.push(index);
      }
    }
    return scripts;
  }

  private async run({ slot, keys, args, indexes }: Script): Promise<Buffer> {
    const node = this.nodeOf(slot);
    const sentAtMs = this.monotonicMs();
    if (!node.breaker.admits(sentAtMs)) {
      this.counts.notAsked += 1;
      throw new Error('Redis did not answer, and is asked again within a second.');
    }
    this.counts.commands += 1;
    try {
      const reply = await within(this.deadlineMs, this.evaluate(keys, args));
      assert(
        Buffer.isBuffer(reply) && reply.length === indexes.length * 2 * DOUBLE,
        'the script answers every question',
      );
      node.breaker.succeeded();
      this.setUp(node, null);
      return reply;
    } catch (error) {
      node.breaker.failed(this.monotonicMs());
      this.counts.failures += 1;
      this.setUp(node, error);
      throw error;
    } finally {
      this.count(this.monotonicMs() - sentAtMs);
    }
  }

  private setUp(node: Node, error: unknown): void {
    const isUp = error === null;
    if (node.isUp === isUp) return;
    node.isUp = isUp;
    if (this.redis.isCluster) this.options.tell?.(node.name, error);
  }

  /** A server that was restarted, or has become the primary, may not know the script. */
  private async evaluate(keys: string[], args: (string | number)[]): Promise<unknown> {
    try {
      return await this.redis.callBuffer('evalsha', this.sha, keys.length, ...keys, ...args);
    } catch (error) {
      if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error;
      return this.redis.callBuffer('eval', this.script, keys.length, ...keys, ...args);
    }
  }

  private nodeOf(slot: number): Node {
    const name = this.redis instanceof Cluster ? (this.redis.slots[slot]?.[0] ?? '') : '';
    let node = this.nodes.get(name);
    if (!node) {
      node = { name, breaker: new Breaker(), isUp: true };
      this.nodes.set(name, node);
    }
    return node;
  }

  private count(durationMs: number): void {
    this.counts.durationMsSum += durationMs;
    const at = DURATIONS_MS.findIndex((atMostMs) => durationMs <= atMostMs);
    this.durations[at] = (this.durations[at] ?? 0) + 1;
  }
}

function toArguments({ bucket, units, heldMs, asked, least, wanted }: Question) {
  const { name, rateLimit, burstLimit } = bucket;
  const field =
    name.length <= FIELD_MAX ? name : createHash('sha256').update(name).digest('base64url');
  return [field, rateLimit, burstLimit, units, heldMs, asked, least, wanted];
}

/** What `Buckets` tells, from what is spent after the grant. */
function toGrant({ bucket, least }: RateWish, granted: number, spent: number): RateGrant {
  const { burstLimit, rateLimit } = bucket;
  const ratePerMs = rateLimit / 1000;
  const missing = Math.max(0, spent + least - burstLimit);
  const canHelp = ratePerMs > 0 && burstLimit > 0 && least <= burstLimit;
  return {
    granted,
    remaining: ratePerMs > 0 ? Math.max(0, Math.floor(burstLimit - spent + TOLERANCE)) : 0,
    retryAfterMs: granted > 0 ? 0 : canHelp ? missing / ratePerMs : Infinity,
    resetMs: ratePerMs > 0 ? spent / ratePerMs : Infinity,
  };
}

/** Gives up after so long, but not before what has come in meanwhile was read: a process that was itself held up asks again. */
async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  let timer;
  const late = new Promise<never>((_, reject) => {
    const giveUp = () => reject(new Error(`Redis did not answer within ${ms} ms.`));
    timer = setTimeout(() => setImmediate(giveUp), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
