import { afterAll } from 'vitest';

const ends: (() => unknown)[] = [];

/**
 * Ends what a file of tests began, after its last test, the youngest first; also where it is called within `beforeAll`
 * or a helper, where an `afterAll` of vitest is too late to be run, without a word.
 */
export function afterFile(end: () => unknown): void {
  ends.push(end);
}

/** For a set-up file, which is read anew before each file of tests. */
export function endFiles(): void {
  afterAll(async () => {
    const faults: unknown[] = [];
    for (let end = ends.pop(); end; end = ends.pop()) {
      try {
        await end();
      } catch (error) {
        faults.push(error);
      }
    }
    if (faults.length > 0) throw new AggregateError(faults, 'could not be ended after the file');
  });
}
