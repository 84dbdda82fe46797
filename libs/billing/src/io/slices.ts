/** An account with something that is due, and how far its clock is ahead of the system's. */
export interface DueAccount {
  readonly accountId: string;
  readonly clockOffsetMs: number;
}

/** An account at a time by its clock. */
export interface AccountAt {
  readonly accountId: string;
  readonly now: Date;
}

/** How far a run has come among what is due of an account: in the order of when it was, then ids. */
export interface DueCursor {
  readonly at: Date;
  readonly id: string;
}

/** Which slice of what is due is wanted. */
export interface WantedSlice {
  readonly after: DueCursor | null;
  readonly limit: number;
  /** Left out, by id. */
  readonly except: readonly string[];
}

/** A slice that was worked through. */
export interface DoneSlice {
  readonly done: number;
  readonly last: DueCursor;
}

/** A slice that could not be worked through as a whole. */
export class SliceFailed extends Error {
  constructor(
    readonly ids: readonly string[],
    readonly last: DueCursor,
    cause: unknown,
  ) {
    super(`${ids.length} could not be done together.`, { cause });
  }

  /** Works through a slice; what fails after it was taken is thrown as `SliceFailed`. */
  static async orOf<T>(
    act: (take: (slice: readonly DueCursor[]) => DueCursor | undefined) => Promise<T>,
  ): Promise<T> {
    let taken: readonly DueCursor[] = [];
    try {
      return await act((slice) => {
        taken = slice;
        return slice.at(-1);
      });
    } catch (error) {
      const last = taken.at(-1);
      if (!last) throw error;
      throw new SliceFailed(
        taken.map(({ id }) => id),
        { at: last.at, id: last.id },
        error,
      );
    }
  }
}
