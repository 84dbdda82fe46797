import { BATCH_RECORDS_MAX, UsageAggregator, type UsageRecord } from '@core/gateway-plugin';
import type { LineReader } from './access-log-line.js';
import type { Line } from './log-file.js';
import type { SetAside } from './position.js';

/** Lines that make one batch. */
export interface BatchOfLines {
  readonly records: readonly UsageRecord[];
  readonly lines: number;
  readonly calls: number;
  /** The byte after the last of the lines. */
  readonly to: number;
  readonly aside: readonly SetAside[];
}

/** Half of what the service takes: a body has 8 MiB at most. */
const BODY_BYTES_MAX = 4 * 1024 * 1024;
/** What a record is at most beside its texts. */
const RECORD_BYTES = 400;

/** Sums as many of the lines as fit into one batch. The same lines give the same records. */
export function batchOfLines(
  lines: readonly Line[],
  { read, epoch, clockOffsetMs }: { read: LineReader; epoch: string; clockOffsetMs: number },
): BatchOfLines {
  const usage = new UsageAggregator();
  const aside: SetAside[] = [];
  let calls = 0;
  let bodyBytes = 0;
  let taken = 0;
  let to = 0;
  for (const { text, from, end, isTooLong } of lines) {
    const meaning = isTooLong ? TOO_LONG : read(text, clockOffsetMs);
    if (meaning.kind === 'unreadable')
      aside.push({ epoch, from, to: end, reason: meaning.reason, line: text });
    if (meaning.kind === 'call') {
      const before = usage.size;
      usage.add(meaning.call);
      calls += 1;
      const { stage, method, resourcePath } = meaning.call;
      if (usage.size > before)
        bodyBytes += RECORD_BYTES + 3 * (stage.length + method.length + resourcePath.length);
    }
    taken += 1;
    to = end;
    if (usage.size >= BATCH_RECORDS_MAX || bodyBytes >= BODY_BYTES_MAX) break;
  }
  return { records: usage.take(BATCH_RECORDS_MAX), lines: taken, calls, to, aside };
}

const TOO_LONG = {
  kind: 'unreadable',
  reason: 'is longer than 4 MiB; only its start is kept',
} as const;
