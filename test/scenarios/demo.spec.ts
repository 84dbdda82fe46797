import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { launch, processesWith } from '../support/launcher.js';
import { describeWith } from '../support/services.js';

interface Counts {
  sent: number;
  passed: number;
  throttled: number;
  overQuota: number;
  forbidden: number;
  other: number;
  bytes: number;
}

interface Row {
  customer: string;
  plan: string;
  counts: Counts;
  invoice: { number: string; total: { minor: string; currency: string } };
  pdf: string;
  csv: string;
}

interface Result {
  rows: Row[];
  strangers: Counts;
}

/** Whole minor units, half away from zero. */
const rounded = (numerator: bigint, denominator: bigint) =>
  (2n * numerator + denominator) / (2n * denominator);

/**
 * What each plan costs, in minor units, from what the clients saw and without any code of ours: the fee, then calls, then
 * traffic.
 */
const DUE: Record<string, (used: { calls: bigint; bytes: bigint }) => bigint> = {
  // $9, 20 calls free, then $0.015 each (as long as they are below 1,000).
  basic: ({ calls }) => 900n + rounded((calls - 20n) * 15n, 10n),
  // EUR 49, EUR 5 for each package of 750 calls that was begun.
  professional: ({ calls }) => 4_900n + ((calls + 749n) / 750n) * 500n,
  // JPY 30,000; JPY 1.20 for every call once there are more than 1,000, JPY 0.35 per 1,000 bytes.
  enterprise: ({ calls, bytes }) =>
    30_000n + rounded(calls * 12n, 10n) + rounded(bytes * 35n, 100_000n),
};

/** A folder that the demo takes for the system's temporary one, so that all it leaves is seen. */
function aFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'tollgate-demo-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** The rows of a CSV file by the names of its header. */
function rowsOf(csv: string): Record<string, string>[] {
  const cells = (line: string) =>
    [...line.matchAll(/("(?:[^"]|"")*"|[^,]*)(?:,|$)/g)].map(([, cell = '']) => cell);
  const [header = '', ...lines] = csv.trim().split(/\r?\n/);
  const names = cells(header);
  return lines.map((line) => {
    const values = cells(line);
    return Object.fromEntries(names.map((name, column) => [name, values[column] ?? '']));
  });
}

/** Minor units of an amount such as "9.29" or "31869". */
const minor = (amount: string) => BigInt(amount.replace('.', ''));

/** Some calls met each limit, and each call was answered in one of the ways that a gateway answers. */
function expectLimits(rows: readonly Row[], strangers: Counts): void {
  const [basic, professional, enterprise] = rows.map(({ counts }) => counts);
  expect(basic).toMatchObject({ sent: 240, overQuota: 0, forbidden: 0, other: 0 });
  expect(basic?.throttled).toBeGreaterThan(100);
  expect(professional).toMatchObject({ sent: 2_300, passed: 2_000, forbidden: 0, other: 0 });
  expect(professional?.overQuota).toBeGreaterThan(0);
  expect(enterprise).toMatchObject({ sent: 1_500, passed: 1_500 });
  expect(strangers).toMatchObject({ sent: 40, forbidden: 40 });
  for (const { sent, passed, throttled, overQuota } of rows.map(({ counts }) => counts)) {
    expect(passed + throttled + overQuota).toBe(sent);
  }
}

/** Each invoice is a PDF and a CSV whose lines add up; finance has the same lines and totals in two files. */
function expectFiles(rows: readonly Row[], folder: string): void {
  const register = rowsOf(readFileSync(join(folder, 'invoice-register.csv'), 'utf8'));
  const allLines = rowsOf(readFileSync(join(folder, 'invoice-lines.csv'), 'utf8'));
  expect(register.map(({ number }) => number)).toEqual(rows.map(({ invoice }) => invoice.number));
  for (const { invoice, pdf, csv } of rows) {
    expect(readFileSync(pdf).subarray(0, 5).toString()).toBe('%PDF-');
    const lines = rowsOf(readFileSync(csv, 'utf8'));
    expect(allLines.filter(({ number }) => number === invoice.number)).toEqual(lines);
    const sum = lines.reduce((total, { amount = '' }) => total + minor(amount), 0n);
    expect(sum).toBe(BigInt(invoice.total.minor));
    const entry = register.find(({ number }) => number === invoice.number);
    expect(minor(entry?.['total'] ?? '')).toBe(sum);
  }
}

describeWith('nginx', 'npm run demo', () => {
  it('invoices exactly the calls that passed, saves the invoices and leaves nothing else', async () => {
    const folder = aFolder();
    const invoices = join(folder, 'invoices');
    const { code, output } = await launchDemo(folder, invoices).ended;
    expect(output).toContain('Every call that passed was metered and invoiced, and no other.');
    expect(code).toBe(0);
    expect(readdirSync(folder)).toEqual(['invoices']);
    expect(processesWith(folder)).toEqual([]);

    const { rows, strangers } = JSON.parse(
      readFileSync(join(invoices, 'result.json'), 'utf8'),
    ) as Result;
    expectLimits(rows, strangers);
    expect(rows.map(({ plan, invoice }) => [plan, invoice.number, invoice.total.minor])).toEqual(
      rows.map(({ plan, counts }, index) => {
        const used = { calls: BigInt(counts.passed), bytes: BigInt(counts.bytes) };
        return [plan, `TG-00000${index + 1}`, String(DUE[plan]?.(used))];
      }),
    );
    expectFiles(rows, invoices);
    for (const { customer, invoice, pdf, csv } of rows) {
      expect(output).toMatch(new RegExp(`${customer} .*${invoice.number}`));
      expect(output).toContain(pdf);
      expect(output).toContain(csv);
    }
  });

  it.each(['SIGINT', 'SIGKILL'] as const)(
    'leaves no process after %s amid the traffic',
    async (signal) => {
      const own = aFolder();
      const demo = launchDemo(own, join(own, 'invoices'));
      await demo.prints('of 4,080 calls');
      expect(processesWith(own).length).toBeGreaterThan(2);
      demo.child.kill(signal);
      await demo.ended;
      await expect.poll(() => processesWith(own), { timeout: 30_000 }).toEqual([]);
      await expect.poll(() => readdirSync(own), { timeout: 30_000 }).toEqual([]);
    },
  );
});

function launchDemo(folder: string, invoices: string) {
  return launch({ TMPDIR: folder }, ['demo', invoices]);
}
