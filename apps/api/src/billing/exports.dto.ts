import {
  EXPORT_FORMATS,
  EXPORT_NAMES,
  type ExportDefinition,
  type ExportFormat,
} from '@io/billing';
import { Id, InvalidRequest, ListOf, OneOf, Text } from '@io/platform';
import { SpanQuery } from './invoices.dto.js';

/** The files that can be asked for. */
export const EXPORT_FILES = EXPORT_NAMES.flatMap((name) => [
  ...EXPORT_FORMATS.map((format) => `${name}.${format}`),
  name,
]);

export class ExportQuery extends SpanQuery {
  @OneOf(EXPORT_FORMATS, {
    optional: true,
    description: 'Of a file whose name has no ending; csv unless said otherwise.',
  })
  format?: ExportFormat;
}

const VERSIONS = ['1.2', '1.3', '1.4'] as const;

export class FocusQuery extends SpanQuery {
  @OneOf(VERSIONS, {
    optional: true,
    description:
      'Of FOCUS. 1.2 and 1.3, which is what is answered when left out, are one table with the columns of both.',
  })
  version?: (typeof VERSIONS)[number];

  @OneOf(EXPORT_FORMATS, { optional: true, description: 'csv when left out.' })
  format?: ExportFormat;

  @Id({ optional: true, description: 'For operators: of this customer alone.' })
  customerId?: string;
}

const KINDS = ['text', 'code', 'integer', 'instant', 'money', 'quantity'] as const;

class ExportColumnView {
  @Text({ max: 100 })
  name: string;

  @OneOf(KINDS, {
    description:
      'Of text a spreadsheet would run as a formula the first character is an apostrophe.',
  })
  kind: (typeof KINDS)[number];

  @Text({ min: 0, max: 1_024 })
  description: string;
}

class ExportView {
  @Text({ max: 100, description: 'GET /v1/exports/{name}.csv and {name}.parquet answer it.' })
  name: string;

  @Text({ max: 1_024 })
  description: string;

  @Text({ max: 1_024, description: 'What `from` and `to` are of.' })
  span: string;

  @ListOf(() => ExportColumnView, { max: 100 })
  columns: ExportColumnView[];
}

export class ExportListView {
  @ListOf(() => ExportView, { max: 100 })
  items: ExportView[];
}

export const exportView = ({ name, description, span, columns }: ExportDefinition): ExportView => ({
  name,
  description,
  span,
  columns: columns.map((column) => ({
    name: column.name,
    kind: column.kind,
    description: column.description,
  })),
});

/** What a file is, by its ending or by `format`. Throws `InvalidRequest` when they say different things. */
export function readFile(
  file: string,
  { format }: ExportQuery,
): { readonly name: string; readonly format: ExportFormat } {
  const ending = EXPORT_FORMATS.find((each) => file.endsWith(`.${each}`));
  if (ending === undefined) return { name: file, format: format ?? 'csv' };
  if (format !== undefined && format !== ending) {
    throw new InvalidRequest([{ pointer: '?format', detail: `must be ${ending}, as the file is` }]);
  }
  return { name: file.slice(0, -ending.length - 1), format: ending };
}
