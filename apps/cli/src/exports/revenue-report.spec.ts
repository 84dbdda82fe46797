import { expect, it } from 'vitest';
import { readCsv } from './read-csv.js';
import { revenueReport } from './revenue-report.js';

it('shows what was billed by month with bars, and sums that are exact', () => {
  const csv = [
    'month,usagePlanId,usagePlanName,meter,billed,recognised,currency',
    '2026-10,plan1,"Basic, old",calls,0.10,0.10,USD',
    '2026-11,plan1,"Basic, old",calls,90071992547409.93,90071992547409.92,USD',
    '2026-11,plan1,"Basic, old",,-0.20,0.00,USD',
    '2026-11,plan2,Gold,calls,1200,1200,JPY',
    '',
  ].join('\r\n');
  expect(revenueReport(readCsv(csv))).toBe(`Revenue in USD
month    plan        meter             billed         recognised
2026-10  Basic, old  calls               0.10               0.10
2026-11  Basic, old  calls  90071992547409.93  90071992547409.92  ##############################
2026-11  Basic, old  fees               -0.20               0.00
total                       90071992547409.83  90071992547410.02

Revenue in JPY
month    plan  meter  billed  recognised
2026-11  Gold  calls    1200        1200  ##############################
total                   1200        1200`);
});

it('says so when there is none', () => {
  expect(revenueReport([])).toBe('No revenue in this span.');
});
