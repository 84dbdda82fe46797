import { Injectable } from '@nestjs/common';
import { Durations } from '@core/kernel';
import { LEVELS, type Level, type RefusalReason } from '@core/limits';
import { DecisionService, type Decision, type DecisionRequest } from '@io/limits';
import { SystemClock } from '@io/platform';

/** Where decisions are asked for. */
export const FACES = ['decisions', 'batch', 'forward-auth', 'ext-authz', 'rate-limit'] as const;
export type Face = (typeof FACES)[number];

/** What became of calls, as often as it did. */
export interface DecisionCount {
  readonly face: Face;
  readonly result: 'allowed' | 'refused' | 'shadowed';
  readonly reason: RefusalReason | null;
  readonly level: Level | null;
  readonly count: number;
}

/**
 * Decides for one face, and counts. A decision takes about a microsecond, so nothing is looked up for a call that
 * passes, and a refused one costs an increment at a place that is computed. Dry runs are not counted: nothing comes of them.
 */
export class MeteredFace {
  allowed = 0;
  /** By what it would have been refused for. */
  readonly shadowed = new Map<RefusalReason, number>();
  /** By reason, at each place the level: none, then as in LEVELS. */
  readonly refused = new Map<RefusalReason, number[]>();
  /** Of decisions that were made at once, and of those for which something was asked. */
  readonly local = new Durations();
  readonly asked = new Durations();

  constructor(
    readonly face: Face,
    private readonly decisions: DecisionService,
    private readonly clock: SystemClock,
  ) {}

  /** As DecisionService. */
  decide(request: DecisionRequest): Decision | Promise<Decision> {
    const fromMs = this.clock.monotonicMs();
    const decision = this.decideOne(request, fromMs);
    if (!(decision instanceof Promise || request.dryRun)) {
      this.local.add(this.clock.monotonicMs() - fromMs);
    }
    return decision;
  }

  /** Those of one question, which came at one instant. What each takes is not told: together they take a fraction of a millisecond. */
  decideAll(requests: readonly DecisionRequest[]): (Decision | Promise<Decision>)[] {
    const fromMs = this.clock.monotonicMs();
    return requests.map((request) => this.decideOne(request, fromMs));
  }

  private decideOne(request: DecisionRequest, fromMs: number): Decision | Promise<Decision> {
    const decision = this.decisions.decide(request, fromMs);
    if (request.dryRun) return decision;
    if (decision instanceof Promise) {
      return decision.then((decided) => {
        this.asked.add(this.clock.monotonicMs() - fromMs);
        this.count(decided);
        return decided;
      });
    }
    this.count(decision);
    return decision;
  }

  private count({ allowed, reason, level, shadowed }: Decision): void {
    if (shadowed !== null) {
      this.shadowed.set(shadowed, (this.shadowed.get(shadowed) ?? 0) + 1);
    } else if (allowed) {
      this.allowed += 1;
    } else if (reason !== null) {
      let counts = this.refused.get(reason);
      if (!counts) this.refused.set(reason, (counts = [0, ...LEVELS.map(() => 0)]));
      const index = level === null ? 0 : LEVELS.indexOf(level) + 1;
      counts[index] = (counts[index] ?? 0) + 1;
    }
  }
}

/** The decisions of this process by face. */
@Injectable()
export class DecisionMeter {
  readonly faces: readonly MeteredFace[];

  constructor(decisions: DecisionService, clock: SystemClock) {
    this.faces = FACES.map((face) => new MeteredFace(face, decisions, clock));
  }

  at(face: Face): MeteredFace {
    const metered = this.faces[FACES.indexOf(face)];
    if (!metered) throw new Error(`There is no face "${face}".`);
    return metered;
  }

  /** What became of the calls of all faces since the process began. */
  counts(): DecisionCount[] {
    return this.faces.flatMap(({ face, allowed, shadowed, refused }): DecisionCount[] => [
      { face, result: 'allowed', reason: null, level: null, count: allowed },
      ...[...shadowed].map(([reason, count]) => ({
        face,
        result: 'shadowed' as const,
        reason,
        level: null,
        count,
      })),
      ...[...refused].flatMap(([reason, counts]) =>
        [null, ...LEVELS].map((level, index) => ({
          face,
          result: 'refused' as const,
          reason,
          level,
          count: counts[index] ?? 0,
        })),
      ),
    ]);
  }
}
