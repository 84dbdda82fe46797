import { stringify } from 'csv-stringify/sync';
import type { UsageItemView } from './usage.dto.js';

/**
 * Usage as CSV (RFC 4180), one line an item. A text that a spreadsheet would run as a formula gets an apostrophe in
 * front, full-width signs too; quantities are never negative, so every number stays one.
 */
export function usageCsv(items: readonly UsageItemView[], groups: readonly string[]): string {
  const columns = ['from', 'to', ...groups.filter((name) => name !== 'meter'), 'meter', 'quantity'];
  return stringify([...items], {
    header: true,
    columns,
    escape_formulas: true,
    record_delimiter: 'windows',
  });
}
