/** Upper bounds of the classes in which durations are counted, in seconds: from a quarter of a millisecond to one second. */
export const DURATION_BOUNDS_SECONDS: readonly number[] = [
  0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1,
];

/** Durations counted by class: one addition for each, as it is called for each decision. */
export class Durations {
  readonly boundsSeconds = DURATION_BOUNDS_SECONDS;
  /** One more than there are bounds: the last for what took longer than all. */
  readonly counts = new Float64Array(DURATION_BOUNDS_SECONDS.length + 1);
  sumSeconds = 0;

  add(ms: number): void {
    const seconds = ms / 1000;
    let index = 0;
    while (seconds > (this.boundsSeconds[index] ?? Infinity)) index += 1;
    this.counts[index] = (this.counts[index] ?? 0) + 1;
    this.sumSeconds += seconds;
  }
}
