import { UsageAggregator } from '@core/gateway-plugin';
import { lineReader } from './access-log-line.js';
import type { CollectOptions, Surroundings } from './collect-options.js';
import { CollectStopped, Collector } from './collector.js';
import { LogFile } from './log-file.js';

const DRY_RUN_RECORDS = 20;
const DRY_RUN_REASONS = 5;

/** Follows an access log until it is told to end, or to the log's end with `isOnce`. */
export async function collect(options: CollectOptions, around: Surroundings): Promise<void> {
  if (options.isDryRun) return dryRun(options, around);
  const stop = new AbortController();
  const signal = AbortSignal.any([around.signal, stop.signal]);
  let patience: NodeJS.Timeout | undefined;
  const onDrain = (): void => {
    patience = setTimeout(() => stop.abort(), options.drainMs);
  };
  if (around.drain.aborted) onDrain();
  else around.drain.addEventListener('abort', onDrain, { once: true });
  const collector = new Collector(options, { ...around, signal });
  try {
    await collector.run();
  } finally {
    clearTimeout(patience);
    around.drain.removeEventListener('abort', onDrain);
    await collector.close();
  }
}

async function dryRun(
  { log: path, format }: CollectOptions,
  { print, say }: Surroundings,
): Promise<void> {
  const log = await LogFile.open(path);
  if (log === undefined) throw new CollectStopped(`${path} does not exist or has no line yet`);
  const lines = await log.readLines(0, { head: await log.head(0), isFinished: false });
  await log.close();
  const read = lineReader(format);
  const usage = new UsageAggregator();
  const reasons = new Map<string, number>();
  let notMetered = 0;
  for (const { text } of lines) {
    const meaning = read(text, 0);
    if (meaning.kind === 'call') usage.add(meaning.call);
    if (meaning.kind === 'not-metered') notMetered += 1;
    if (meaning.kind === 'unreadable')
      reasons.set(meaning.reason, (reasons.get(meaning.reason) ?? 0) + 1);
  }
  const unreadable = [...reasons.values()].reduce((sum, count) => sum + count, 0);
  say(
    `${lines.length} lines read: ${notMetered} not to be metered, ${unreadable} unreadable, ` +
      `${usage.size} records; the first:`,
  );
  for (const record of usage.take(DRY_RUN_RECORDS)) print(JSON.stringify(record));
  for (const [reason, count] of [...reasons].slice(0, DRY_RUN_REASONS)) say(`${count} × ${reason}`);
}
