import type { SentRecord } from './numbered-sender.js';
import { isSaid, neverComes, placeText, type Said } from './sayings.js';
import type { LedgerRecord } from './usage-ledger.js';

/** All that was sent, and what persons made of it. */
export interface CorrectedStory {
  readonly sent: readonly SentRecord[];
  readonly byPersons: readonly Said[];
  /** Places of the quarantine where something is said of a record that has a correction: the service chose which of several stands. */
  readonly secondOnes: ReadonlySet<string>;
  /** What was counted in the place of quarantined records; null: a person has not looked at the quarantine yet. */
  readonly replayed: ReadonlyMap<string, LedgerRecord> | null;
  /** A person gave up on what can never come. */
  readonly isGivenUp: boolean;
}

type State = 'waiting' | 'applied' | 'dropped' | `refused ${string}`;

/** What is said of a record and stands, with where that was said; null of what a person said. */
type Standing = Said & { readonly place: string | null };

/** Works out by hand what corrected usage comes to; shares no code with the product. */
export class CorrectedUsage {
  private readonly bySent: ReadonlyMap<string, SentRecord>;
  private readonly byTarget = new Map<string, Standing>();
  private readonly batches: ReadonlySet<string>;

  constructor(private readonly story: CorrectedStory) {
    this.bySent = new Map(story.sent.map((one) => [one.place, one]));
    this.batches = new Set(story.sent.map(({ place }) => batchOf(place)));
    for (const one of this.standing()) this.byTarget.set(placeText(one.target), one);
  }

  /** Faults of the choice itself: of several that say something of one record exactly one stands. */
  wrongChoices(): string[] {
    const count = new Map<string, number>();
    for (const { target } of this.standing())
      count.set(placeText(target), (count.get(placeText(target)) ?? 0) + 1);
    const said = this.story.sent.flatMap(({ record }) => (isSaid(record) ? [record.target] : []));
    return [
      ...[...count].filter(([, n]) => n > 1).map(([target, n]) => `${target} has ${n}`),
      ...said.map(placeText).filter((target) => !count.has(target)),
    ];
  }

  /** Records as they count. */
  records(): LedgerRecord[] {
    const { replayed } = this.story;
    return this.story.sent.flatMap(({ place, record, isBad }): LedgerRecord[] => {
      const counted = isBad ? replayed?.get(place) : record;
      if (!counted || isSaid(counted)) return [];
      const quantities = this.inTheEnd(place, counted.quantities);
      return quantities === null ? [] : [{ ...counted, quantities }];
    });
  }

  /** What became of all that was said, a line each as `CORRECTIONS` reads them. */
  lines(): string[] {
    return [...this.byTarget.values()].map((one) => {
      const says = one.quantities === null ? 'void' : JSON.stringify(one.quantities);
      return `${one.place ?? 'person'} of ${placeText(one.target)} ${this.stateOf(one)} ${says}`;
    });
  }

  private standing(): Standing[] {
    const { sent, secondOnes, byPersons } = this.story;
    return [
      ...sent.flatMap(({ place, record }) =>
        isSaid(record) && !secondOnes.has(place) ? [{ ...record, place }] : [],
      ),
      ...byPersons.map((one) => ({ ...one, place: null })),
    ];
  }

  /** Follows what is said of a record, and of that, to the last. */
  private inTheEnd(place: string, quantities: Said['quantities']): Said['quantities'] {
    const said = this.byTarget.get(place);
    if (!said) return quantities;
    return said.place === null ? said.quantities : this.inTheEnd(said.place, said.quantities);
  }

  private stateOf({ target }: Said): State {
    const { isGivenUp, replayed, secondOnes } = this.story;
    if (neverComes(target.epoch)) return isGivenUp ? 'dropped' : 'waiting';
    const place = placeText(target);
    const found = this.bySent.get(place);
    if (!found) return this.batches.has(batchOf(place)) ? 'refused no-such-record' : 'waiting';
    if (found.isBad || secondOnes.has(place)) {
      if (replayed === null) return 'waiting';
      return replayed.has(place) ? 'applied' : 'refused target-dropped';
    }
    if (!isSaid(found.record)) return 'applied';
    const before = this.stateOf(found.record);
    return before === 'applied' || before === 'waiting' ? before : 'refused target-refused';
  }
}

const batchOf = (place: string) => place.slice(0, place.lastIndexOf(' '));

/** All that is said of records, a line each. */
export const CORRECTIONS = `
  SELECT concat_ws(' ',
    CASE WHEN created_by IS NULL THEN concat_ws(' ', gateway_id, epoch, sequence, ordinal) ELSE 'person' END,
    'of', gateway_id, target_epoch, target_sequence, target_ordinal, state, refusal, coalesce(quantities, 'void')) AS line
  FROM usage_correction`;
