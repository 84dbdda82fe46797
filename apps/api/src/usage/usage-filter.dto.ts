import { Id, OneOf, Text } from '@io/platform';

/** What every question about usage can choose by, and the form of its answer. */
export class UsageFilterQuery {
  @Id({ optional: true })
  customerId?: string;

  @Id({ optional: true })
  keyId?: string;

  @Id({ optional: true })
  apiId?: string;

  @Text({ optional: true, max: 128 })
  stage?: string;

  @OneOf(['json', 'csv'], {
    optional: true,
    description: '`csv` is what `Accept: text/csv` asks for.',
  })
  format?: 'json' | 'csv';
}
