/**
 * The place of a change among all changes, by the numbers that Postgres gives to transactions. Transactions do not end in
 * the order of their numbers, so one number could not say what came after: a change that is committed later may have a
 * lower number than this one, but never a lower one than its horizon.
 */
export interface ChangePlace {
  /** Who made the change. */
  readonly transaction: number;
  /** Every transaction with a lower number had ended by then, and its news was sent before. */
  readonly horizon: number;
}

const PLACE = /^(\d{1,15})-(\d{1,15})$/;

/** The place as the id of an event: the same for every process, also after a restart. */
export const placeText = ({ transaction, horizon }: ChangePlace): string =>
  `${horizon}-${transaction}`;

/** The place that an id names; null when it is none. */
export function parsePlace(text: string): ChangePlace | null {
  const [, horizon, transaction] = PLACE.exec(text) ?? [];
  if (horizon === undefined || transaction === undefined) return null;
  return { transaction: Number(transaction), horizon: Number(horizon) };
}

/** How far a process has heard the news, which come in the order in which they were committed. */
export class HeardChanges {
  #horizon = 0;
  /** Those from the horizon on: a handful, since nothing that ended stays above it for long. */
  readonly #beyond = new Set<number>();

  /** All before the horizon is heard, or known otherwise. */
  hearUntil(horizon: number): void {
    if (horizon <= this.#horizon) return;
    this.#horizon = horizon;
    for (const transaction of this.#beyond) {
      if (transaction < horizon) this.#beyond.delete(transaction);
    }
  }

  hear({ transaction, horizon }: ChangePlace): void {
    this.hearUntil(horizon);
    if (transaction >= this.#horizon) this.#beyond.add(transaction);
  }

  /** Whether that change was heard. */
  covers({ transaction }: ChangePlace): boolean {
    return transaction < this.#horizon || this.#beyond.has(transaction);
  }

  /** A place of which everything before has been heard; what follows includes everything that has not. */
  get place(): ChangePlace {
    return { transaction: Math.max(0, this.#horizon - 1), horizon: this.#horizon };
  }
}
