import { callRaw, type RawAnswer, type RawCall } from '../../support/raw-http.js';
import type { Links } from './links.js';
import type { Subject, SubjectKey } from './subject.js';
import type { Upstream, UpstreamCall } from './upstream.js';

/** One gateway under test, as it was configured. */
export interface Front {
  readonly url: string;
  /** The host that it answers for; any when left out. */
  readonly host?: string;
  readonly onFailure: 'allow' | 'deny';
  readonly deadlineMs: number;
}

/** What the suite can try. A front that is null cannot be had where a user's own gateway is tried. */
export interface Fronts {
  /** With a generous deadline. */
  readonly main: Front;
  /** With a short deadline; keeps calls out without a decision. */
  readonly closed: Front | null;
  /** With a short deadline; lets calls pass without a decision. */
  readonly open: Front | null;
  /** Like `open`, with a token that nobody was given. */
  readonly stranger: Front | null;
}

/** What a client got, and what reached the application meanwhile. */
export interface Exchange extends RawAnswer {
  readonly reached: UpstreamCall | null;
  readonly ms: number;
}

/** A call of a client; `X-Api-Key` comes from `key`. */
export interface BenchCall extends Partial<RawCall> {
  readonly key?: SubjectKey | string;
  readonly front?: Front;
}

/** A front that the case needs is not there: the case is not run, and the table says why. */
export class NotRunnable extends Error {
  override readonly name = 'NotRunnable';
}

/** What cases are run with: one call at a time, so that what reaches the application belongs to it. */
export class Bench {
  constructor(
    readonly subject: Subject,
    readonly fronts: Fronts,
    readonly upstream: Upstream,
    private readonly links: Links | null,
  ) {}

  readonly call = async ({
    key,
    front = this.fronts.main,
    ...call
  }: BenchCall = {}): Promise<Exchange> => {
    const before = this.upstream.seen.length;
    const { target = '/pets/42', fields = [] } = call;
    const value = typeof key === 'string' ? key : key?.value;
    const startedAt = performance.now();
    const answer = await callRaw(front.url, {
      ...call,
      ...(front.host !== undefined && { host: front.host }),
      target,
      fields: [...(value === undefined ? [] : [['X-Api-Key', value] as const]), ...fields],
    });
    const ms = performance.now() - startedAt;
    const reached = this.upstream.seen.slice(before);
    if (reached.length > 1) {
      throw new Error(`One call to ${target} reached the application ${reached.length} times.`);
    }
    return { ...answer, reached: reached[0] ?? null, ms };
  };

  /** The front, or the reason why there is none. */
  readonly need = (name: 'closed' | 'open' | 'stranger'): Front => {
    const front = this.fronts[name];
    if (front === null) throw new NotRunnable(`needs a gateway that is configured "${name}"`);
    return front;
  };

  /** How many connections to the service are opened meanwhile. */
  async connectionsDuring(run: () => Promise<void>): Promise<number> {
    if (this.links === null) throw new NotRunnable('needs the link between gateway and service');
    const before = this.links.opened;
    await run();
    return this.links.opened - before;
  }

  /** Runs with the service away, and mends it again whatever happens. */
  async whileAway(state: 'gone' | 'silent' | 'broken', run: () => Promise<void>): Promise<void> {
    if (this.links === null) throw new NotRunnable('needs the link between gateway and service');
    await this.links.set(state);
    try {
      await run();
    } finally {
      await this.links.set('up');
    }
  }
}
