import 'reflect-metadata';
import { parseArgs } from 'node:util';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { DIFFERENCES_MAX, MeteringModule, RollUpProofService, type ProvenDay } from '@io/metering';
import { messageOf, parseInstant, PlatformModule } from '@io/platform';

const HELP = `Usage: npm run rebuild-usage -- --from <instant> --to <instant> [--account <id>] [--dry-run]

Compares usage by hour with the records it was made of, day by day, and makes the hours anew that differ. --from and
--to are whole UTC hours, as 2026-11-01 or 2026-11-01T07:00:00Z; without --account all accounts are gone through;
--dry-run changes nothing. Ends with 1 when something differs and stays. The settings are those of the worker.
`;
const HOUR_MS = 3_600_000;

@Module({ imports: [PlatformModule, MeteringModule] })
class RebuildUsageModule {}

/** What was asked for; null when it was help. Throws in one sentence. */
function readArguments() {
  const { values } = parseArgs({
    options: {
      from: { type: 'string' },
      to: { type: 'string' },
      account: { type: 'string' },
      'dry-run': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return null;
  const period = { from: wholeHour('from', values.from), to: wholeHour('to', values.to) };
  if (period.from >= period.to) throw new Error('--to must be after --from.');
  return { accountId: values.account ?? null, period, isDryRun: values['dry-run'] };
}

function wholeHour(name: string, text = ''): Date {
  const at = parseInstant(/^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00:00Z` : text);
  if (!at || at.getTime() % HOUR_MS !== 0)
    throw new Error(
      `--${name} must be a UTC day or whole hour, as 2026-11-01 or 2026-11-01T07:00:00Z.`,
    );
  return at;
}

/** A line that says how far we are, and a table of what differs: sums of the hour and of its last three quarters. */
function reportOf({ accountId, period, differences, outcome }: ProvenDay): string {
  const more = differences.length === DIFFERENCES_MAX ? ' or more' : '';
  const count = differences.length === 0 ? '' : `, ${differences.length}${more} roll-ups differ`;
  const head = `${period.from.toISOString()} ${accountId} ${outcome}${count}\n`;
  if (differences.length === 0) return head;
  const rows = differences.map(({ hour, expected, found, ...of }) => [
    hour.toISOString(),
    ...Object.values(of),
    expected.join(' '),
    found.join(' '),
  ]);
  const names = Object.keys(differences[0] ?? {}).map((name) =>
    name === 'expected' ? 'of records' : name,
  );
  const table = [names, ...rows];
  const widths = names.map((_, column) =>
    Math.max(...table.map((row) => row[column]?.length ?? 0)),
  );
  const lines = table.map((row) =>
    row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  '),
  );
  return `${head}${lines.map((line) => `  ${line.trimEnd()}\n`).join('')}`;
}

try {
  const asked = readArguments();
  if (asked) {
    const app = await NestFactory.createApplicationContext(RebuildUsageModule, {
      logger: false,
      abortOnError: false,
    });
    try {
      for await (const day of app.get(RollUpProofService).rebuild(asked)) {
        process.stdout.write(reportOf(day));
        if (day.outcome === 'different' || day.outcome === 'incomplete') process.exitCode = 1;
      }
    } finally {
      await app.close();
    }
  } else process.stdout.write(HELP);
} catch (error) {
  process.stderr.write(`${messageOf(error)}\n`);
  process.exitCode = 1;
}
