import type { LedgerRecord } from './usage-ledger.js';

/** Where a record is. */
export interface RecordPlace {
  readonly gatewayId: string;
  readonly epoch: string;
  readonly sequence: number;
  readonly index: number;
}

/** What is said of a record: it counts these quantities, or with null nothing. */
export interface Said {
  readonly target: RecordPlace;
  readonly quantities: LedgerRecord['quantities'] | null;
}

export const isSaid = (record: LedgerRecord | Said): record is Said => 'target' in record;

export const placeText = ({ gatewayId, epoch, sequence, index }: RecordPlace): string =>
  `${gatewayId} ${epoch} ${sequence} ${index}`;

/** How the epoch ends of which nothing ever comes. */
const NEVER = 'never';
export const neverComes = (epoch: string): boolean => epoch.endsWith(NEVER);

/** A place, and whether what is said of it counts once all has come: then one of several sayings does, else each is refused. */
interface Target {
  readonly place: RecordPlace;
  readonly isSure: boolean;
}

/**
 * Invents what a gateway says of its own records: of new ones, again of such that something was said of, of what was said
 * itself, and at times of records that no batch has, or that never come.
 */
export class Sayings {
  private readonly free: Target[] = [];
  /** Places of which something was said, or will be by somebody else. */
  private readonly taken = new Set<string>();
  private readonly said: RecordPlace[] = [];
  private impossible = 0;

  constructor(
    private readonly options: {
      readonly gatewayId: string;
      readonly random: (bound: number) => number;
      record(): LedgerRecord;
    },
  ) {}

  /** A record of which something may be said from now on, whether it is sent yet or not. */
  offer(place: RecordPlace): void {
    this.free.push({ place, isSure: true });
  }

  /** Keeps a record for somebody else to speak of; false when something is said of it already. */
  take(place: RecordPlace): boolean {
    const text = placeText(place);
    if (this.taken.has(text)) return false;
    this.taken.add(text);
    return true;
  }

  /** Something, which is said at a place and can itself be spoken of. */
  of(own: RecordPlace): Said {
    const { random, record } = this.options;
    const { place: target, isSure } = this.target();
    this.free.push({ place: own, isSure });
    return { target, quantities: random(3) === 0 ? null : record().quantities };
  }

  private target(): Target {
    const { random } = this.options;
    const kind = random(20);
    const isRival = kind < 3 && this.said.length > 0;
    if (isRival) return { place: this.said[random(this.said.length)]!, isSure: true };
    const found = this.takeFree();
    if (kind < 5 || !found) return { place: this.impossiblePlace(), isSure: false };
    if (found.isSure) this.said.push(found.place);
    return found;
  }

  /** Any of the free ones, the latest ten at times, so that chains grow. */
  private takeFree(): Target | null {
    const { random } = this.options;
    while (this.free.length > 0) {
      const back = random(random(2) === 0 ? Math.min(10, this.free.length) : this.free.length);
      const [found] = this.free.splice(this.free.length - 1 - back, 1);
      if (found && this.take(found.place)) return found;
    }
    return null;
  }

  private impossiblePlace(): RecordPlace {
    const { gatewayId, random } = this.options;
    const sequence = (this.impossible += 1);
    if (random(3) === 0) return { gatewayId, epoch: `${gatewayId}-${NEVER}`, sequence, index: 0 };
    // Behind the last of a batch that comes first of all.
    return { gatewayId, epoch: `${gatewayId}-0`, sequence: 5, index: 5_000 + sequence };
  }
}
