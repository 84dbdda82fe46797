import { stringify } from 'csv-stringify/sync';
import type { FastifyReply } from 'fastify';
import type { UsageItemView } from './usage.dto.js';

/** How an answer may be asked for. */
export interface FormatWish {
  readonly format?: 'json' | 'csv' | undefined;
  readonly accept: string | undefined;
}

/** Whether CSV is wanted: the query says so, or else the header. */
export const wantsCsv = ({ format, accept }: FormatWish): boolean =>
  (format ?? (accept?.startsWith('text/csv') ? 'csv' : 'json')) === 'csv';

/** Sends items as a file of CSV. */
export function sendCsv(
  reply: FastifyReply,
  name: string,
  { items, columns }: { items: readonly object[]; columns: readonly string[] },
): string {
  reply.type('text/csv; charset=utf-8');
  reply.header('Content-Disposition', `attachment; filename="${name}.csv"`);
  return csv(items, columns);
}

/**
 * CSV (RFC 4180), one line an item. A text that a spreadsheet would run as a formula gets an apostrophe in front,
 * full-width signs too; quantities are never negative, so every number stays one.
 */
function csv(items: readonly object[], columns: readonly string[]): string {
  return stringify([...items], {
    header: true,
    columns: [...columns],
    escape_formulas: true,
    record_delimiter: 'windows',
  });
}

/** The columns of usage by these groups. */
export const usageColumns = (groups: readonly (keyof UsageItemView)[]): string[] => [
  'from',
  'to',
  ...groups.filter((name) => name !== 'meter'),
  'meter',
  'quantity',
];
