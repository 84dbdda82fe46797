import { EXPORT_NAMES, type ExportDefinition } from '@io/billing';
import { ListOf, OneOf, Text } from '@io/platform';

/** The files that can be asked for. */
export const EXPORT_FILES = EXPORT_NAMES.map((name) => `${name}.csv`);

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
  @Text({ max: 100, description: 'GET /v1/exports/{name}.csv answers it.' })
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
