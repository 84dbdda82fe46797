import { format, resolveConfig } from 'prettier';
import { expect, it } from 'vitest';
import { EXPORTS } from './definitions.js';

const INTRO = `# Exports for finance

\`GET /v1/exports\` lists these tables, \`GET /v1/exports/{name}.csv?from=&to=\` answers one as CSV (RFC 4180, UTF-8, with a head), streamed from one snapshot of
the database: it may have any number of rows; \`{name}.parquet\`, or \`{name}?format=parquet\`, answers the same rows as Parquet, in row groups of 10,000. The same rows have the same bytes. At most three are read at once from one api process; others get 503 (\`exports-busy\`).

Money is in major units with the decimals of its currency, instants are ISO 8601 in UTC, and numbers are never quoted or changed. Cells of kind text begin with an
apostrophe where a spreadsheet would run them as a formula, in CSV only. In Parquet money is DECIMAL(38, 4), quantities are DECIMAL(38, 12), instants timestamps in UTC, and what is not there is null. Columns are added at the end only.

The sums agree: \`total\` of the register is the sum of its lines and their tax, \`due\` of the register is the receivable of the journal and the total of the ageing, and \`billed\` of
the revenue is what the journal has as revenue. \`closing\` of the credits liability is what the journal has as prepaid-credit.
\`recognised\` of the revenue is \`recognised\` of the deferred revenue, and over all months it is \`billed\`; \`closing - unbilled\` of the deferred revenue is what the journal has as revenue, less
what was recognised ([0058](adr/0058-revenue-recognition.md)). \`invoicedAmount\` and \`open\` of the reconciliation are \`total\` and \`due\` of the register without void invoices, and its
\`metered\` is all usage.

FOCUS is the FinOps Foundation's format of cost and usage, for the tools of whoever is billed: \`GET /v1/focus?version=&format=&from=&to=\` answers customers their own rows, and operators
those of all or of one \`customerId\`. 1.2 and 1.3 are one table that has the columns of both, 1.4 is without \`ProviderName\` and \`PublisherName\`. \`BilledCost\` adds up to what is payable by \`InvoiceId\`;
where there is a \`ListUnitPrice\`, times \`PricingQuantity\` it is the \`ListCost\`. Void invoices are not in it, nor are tags and API keys: a line is of all keys of a subscription.

## On a schedule

\`POST /v1/export-schedules\` has the worker write a table for each period of a calendar by itself, for admins and finance:

    { "export": "journal", "format": "parquet", "interval": "month", "timezone": "Europe/Berlin", "waitsForInvoices": true,
      "target": { "kind": "folder", "folder": "finance/monthly" } }

- Each whole local \`day\`, \`week\` (from Monday), \`month\`, \`quarter\` or \`year\` of the zone is written when it has ended, \`delayHours\` later where that is set, and with \`waitsForInvoices\` once no invoice up to its end is a draft or
  still to be made: monthly after close. The first is the one that \`from\` is in, or that goes on now. Time is the account's own clock.
- A \`folder\` lies below that of the account in TOLLGATE_EXPORT_ROOT, which is off unless it is set. A bucket (\`s3\`: \`endpoint\`, \`region\`, \`bucket\`, \`prefix\`, \`accessKeyId\`, \`secretAccessKey\`) is of S3 or of what speaks as S3 does, has a public address unless EGRESS_ALLOW_CIDRS
  says otherwise, and stands in the path of the URL. The secret is sealed and never shown again. An object has at most 5 GiB.
- The file is \`journal_2026-11-01_2026-11-30.parquet\`, by its first and last local day. It is there whole or not at all, and what was written of the same period before is replaced.
- \`GET /v1/export-schedules/{id}/runs\` is the history, with rows, bytes, SHA-256 and why an attempt failed. What failed is tried again for three days, then it waits for a person (\`dead\`). \`POST …/runs\` has a period written now, again if it was; \`POST …/dry-runs\` tells what
  would be written, and where, and writes nothing.
- A schedule is changed in when and where it writes (\`PATCH\`), not in what: for another table, interval or zone make another. One that is disabled catches up when it is enabled.
`;

it('docs/exports.md describes every column; if not, run vitest with -u', async () => {
  const sections = EXPORTS.map(
    ({ name, description, span, columns }) => `
## ${name}

${description} \`from\` and \`to\` are ${span}.

| column | kind | |
| --- | --- | --- |
${columns.map((column) => `| \`${column.name}\` | ${column.kind} | ${column.description} |`).join('\n')}
`,
  );
  const path = 'docs/exports.md';
  const options = { ...(await resolveConfig(path)), parser: 'markdown' };
  const text = await format(INTRO + sections.join(''), options);
  await expect(text).toMatchFileSnapshot(`../../../../../${path}`);
});

it('gives every export its own name, and every column of an export', () => {
  expect(new Set(EXPORTS.map(({ name }) => name)).size).toBe(EXPORTS.length);
  for (const { columns } of EXPORTS)
    expect(new Set(columns.map(({ name }) => name)).size).toBe(columns.length);
});
