import type { Issuer } from '@io/billing';
import { Flag, Id, Instant, Int, ListOf, Text } from '@io/platform';
import { COLLECTION_HOURS, NET_TERMS_DAYS } from './invoice-settings.dto.js';

const OWN_SETTING = "Of its drafts; the account's setting when null.";

const NET_TERMS =
  "Days to pay, where subscription and customer do not say; the account's when null.";

const SERIES = {
  max: 8,
  pattern: /^[A-Z][A-Z0-9]{0,7}$/,
  patternSays: 'be 1 to 8 upper-case letters and digits, the first a letter',
  example: 'DE',
  description: 'Of its invoices (`DE-000001`) and credit notes (`DECN-000001`); fixed for good.',
};

export class UpdateIssuerBody {
  @Text({ optional: true })
  name?: string;

  @Text({ optional: true, nullable: true })
  legalName?: string | null;

  @Text({ max: 1_024, optional: true, nullable: true })
  address?: string | null;

  @Text({ max: 64, optional: true, nullable: true })
  taxId?: string | null;

  @Int({ ...COLLECTION_HOURS, optional: true, nullable: true, description: OWN_SETTING })
  collectionHours?: number | null;

  @Flag({ optional: true, nullable: true, description: OWN_SETTING })
  requiresApproval?: boolean | null;

  @Int({ ...NET_TERMS_DAYS, optional: true, nullable: true, description: NET_TERMS })
  netTermsDays?: number | null;
}

export class CreateIssuerBody extends UpdateIssuerBody {
  @Text(SERIES)
  series: string;

  @Text()
  declare name: string;
}

export class IssuerView {
  @Id({ example: 'iss_7Qm2nWcN5vX1pR8sT3yB' })
  id: string;

  @Text(SERIES)
  series: string;

  @Text()
  name: string;

  @Text({ nullable: true })
  legalName: string | null;

  @Text({ max: 1_024, nullable: true })
  address: string | null;

  @Text({ max: 64, nullable: true })
  taxId: string | null;

  @Int({ ...COLLECTION_HOURS, nullable: true, description: OWN_SETTING })
  collectionHours: number | null;

  @Flag({ nullable: true, description: OWN_SETTING })
  requiresApproval: boolean | null;

  @Int({ ...NET_TERMS_DAYS, nullable: true, description: NET_TERMS })
  netTermsDays: number | null;

  @Instant()
  createdAt: Date;

  @Instant()
  updatedAt: Date;
}

export class IssuerListView {
  @ListOf(() => IssuerView, { max: 500 })
  items: readonly Issuer[];

  @Text({ optional: true, max: 500 })
  next?: string;
}
