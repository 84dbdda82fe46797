import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readCsv } from './read-csv.js';
import { REPORTS, reportText, type ReportName } from './report.js';
import { terminalOf, widthOf } from './terminal.js';

const FILE = { width: 120, hasColour: false };

const REVENUE = [
  'month,usagePlanId,usagePlanName,meter,billed,recognised,currency',
  '2026-10,plan1,"Basic, old",calls,0.10,0.10,USD',
  '2026-11,plan1,"Basic, old",calls,90071992547409.93,90071992547409.92,USD',
  '2026-11,plan1,"Basic, old",,-0.20,0.00,USD',
  '2026-11,plan2,Gold,calls,1200,-600,JPY',
  '',
].join('\r\n');

describe('reportText', () => {
  it('shows revenue by month, plan and meter with sums that are exact, and bars by month', () => {
    const text = reportText('revenue', readCsv(REVENUE), { ...FILE, width: 70 });
    expect(text).toBe(`Revenue in USD
month    plan        meter             billed         recognised
2026-10  Basic, old  calls               0.10               0.10
2026-11  Basic, old  calls  90071992547409.93  90071992547409.92
2026-11  Basic, old  fees               -0.20               0.00
total                       90071992547409.83  90071992547410.02

2026-10  billed                   0.10
         recognised               0.10
2026-11  billed      90071992547409.73  #############################
         recognised  90071992547409.92  ##############################

Revenue in JPY
month    plan  meter  billed  recognised
2026-11  Gold  calls    1200        -600
total                   1200        -600

2026-11  billed      1200  ###########################################
         recognised  -600  ---------------------`);
  });

  it('shows deferred revenue, of which only what moved is added up', () => {
    const csv = [
      'month,issuerId,issuerName,currency,opening,invoiced,credited,recognised,accrued,closing,unbilled',
      '2026-01,,Acme,USD,0.00,120.00,0.00,10.00,0.00,110.00,0.00',
      '2026-02,,Acme,USD,110.00,0.00,0.00,10.00,0.00,100.00,0.00',
      '',
    ].join('\r\n');
    expect(reportText('deferred', readCsv(csv), { ...FILE, width: 90 }))
      .toBe(`Deferred revenue in USD
month    issuer  opening  invoiced  credited  recognised  accrued  closing  unbilled
2026-01  Acme       0.00    120.00      0.00       10.00     0.00   110.00      0.00
2026-02  Acme     110.00      0.00      0.00       10.00     0.00   100.00      0.00
total                       120.00      0.00       20.00     0.00

2026-01  closing   110.00  ############################################################
         unbilled    0.00
2026-02  closing   100.00  ######################################################
         unbilled    0.00`);
  });

  it('has colours for a terminal only, which change nothing else', () => {
    const rows = readCsv(REVENUE);
    const coloured = reportText('revenue', rows, { ...FILE, hasColour: true });
    expect(coloured).toContain('\u001b[32m#');
    expect(coloured).toContain('\u001b[31m-');
    // oxlint-disable-next-line no-control-regex -- the colours are what is taken away
    expect(coloured.replaceAll(/\u001b\[\d+m/g, '')).toBe(reportText('revenue', rows, FILE));
  });

  it('is as wide as the terminal at most while the money leaves room, and cuts no money', () => {
    const row = fc.record({
      customerName: fc.oneof(
        fc.string({ unit: 'grapheme', maxLength: 60 }),
        fc.constantFrom('株式会社トールゲート', 'x\u001b[2Jy\nz'),
      ),
      total: fc.bigInt({ min: -(10n ** 9n), max: 10n ** 9n }).map((units) => `${units}.00`),
    });
    fc.assert(
      fc.property(
        fc.array(row, { minLength: 1, maxLength: 5 }),
        fc.integer({ min: 110, max: 160 }),
        (rows, width) => {
          const full = rows.map((one) => ({
            ...Object.fromEntries(REPORTS.ageing.money.map((column) => [column, one.total])),
            customerName: one.customerName,
            currency: 'USD',
          }));
          const lines = reportText('ageing', full, { ...FILE, width }).split('\n');
          for (const line of lines) expect(widthOf(line)).toBeLessThanOrEqual(width);
          for (const [index, { total }] of rows.entries())
            expect(lines[2 + index]).toContain(`  ${total}`);
          expect(lines.join('')).not.toContain('\u001b');
        },
      ),
    );
  });

  it.each(Object.keys(REPORTS) as ReportName[])('says so when there is nothing: %s', (name) => {
    expect(reportText(name, [], FILE)).toMatch(/: nothing in this span\.$/);
  });
});

describe('terminalOf', () => {
  it.each([
    {
      stream: { isTTY: true, columns: 80 },
      environment: {},
      terminal: { width: 80, hasColour: true },
    },
    {
      stream: { isTTY: true, columns: 80 },
      environment: { NO_COLOR: '1' },
      terminal: { width: 80, hasColour: false },
    },
    {
      stream: { isTTY: true, columns: 80 },
      environment: { TERM: 'dumb' },
      terminal: { width: 80, hasColour: false },
    },
    { stream: { isTTY: true }, environment: {}, terminal: { width: 120, hasColour: true } },
    { stream: {}, environment: {}, terminal: { width: 120, hasColour: false } },
  ])('$stream with $environment', ({ stream, environment, terminal }) => {
    expect(terminalOf(stream, environment)).toEqual(terminal);
  });
});
