/** How far a backlog was sent. */
export interface Progress {
  /** Bytes of the log that is being read. */
  readonly offset: number;
  readonly size: number;
  readonly lines: number;
  readonly calls: number;
  readonly batches: number;
  /** Lines and records set aside in this run. */
  readonly aside: number;
  readonly elapsedMs: number;
}

const BAR_WIDTH = 24;

/** Progress as a sentence, for a file of messages. */
export function progressSentence(progress: Progress): string {
  const { offset, size, lines, calls, batches, aside } = progress;
  return (
    `${offset} of ${size} bytes, ${lines} lines (${rate(progress)} a second), ` +
    `${calls} calls in ${batches} batches, ${aside} set aside`
  );
}

/** Progress as a bar, for a terminal. */
export function progressBar(progress: Progress): string {
  const { offset, size, lines } = progress;
  const share = size === 0 ? 1 : Math.min(1, offset / size);
  const done = Math.floor(share * BAR_WIDTH);
  const bar = '#'.repeat(done) + '-'.repeat(BAR_WIDTH - done);
  const percent = String(Math.floor(share * 100)).padStart(3);
  return `[${bar}] ${percent}%  ${lines} lines, ${rate(progress)} a second`;
}

function rate({ lines, elapsedMs }: Progress): number {
  return Math.round((lines * 1_000) / Math.max(1, elapsedMs));
}
