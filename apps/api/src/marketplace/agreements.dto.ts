import { Flag, Id, Instant, ListOf, OneOf, PageQuery, Text, TextList } from '@io/platform';

const STATES = ['pending', 'active', 'ending', 'ended', 'failed'];
const AWS_ACCOUNT = { max: 12, pattern: /^\d{12}$/, patternSays: 'be an id of an AWS account' };
const LICENCE = { max: 512, description: 'The ARN of the licence, as AWS says it.' };

export class CreateAgreementBody {
  @Id()
  productId: string;

  @Id({ optional: true })
  customerId?: string;

  @Text({ optional: true, description: 'The older id of AWS; with it neither of the next two.' })
  customerIdentifier?: string;

  @Text({ ...AWS_ACCOUNT, optional: true })
  customerAwsAccountId?: string;

  @Text({ ...LICENCE, optional: true })
  licenseArn?: string;

  @Flag({ optional: true, description: 'It runs already: metered from now on.' })
  isActive?: boolean;
}

export class AssignAgreementBody {
  @Id({ optional: true, description: 'Whose it is; once it is somebody’s it stays theirs.' })
  customerId?: string;

  @TextList({
    min: 1,
    max: 100,
    itemMax: 64,
    optional: true,
    description:
      'Keys whose usage is this agreement’s from now on, where a customer has several about a product.',
  })
  keyIds?: string[];
}

export class AgreementsQuery extends PageQuery {
  @OneOf(STATES, { optional: true })
  state?: string;

  @Id({ optional: true })
  customerId?: string;

  @Id({ optional: true })
  productId?: string;
}

export class AgreementView {
  @Id()
  id: string;

  @Id({ nullable: true, description: 'Null until somebody signs up for it.' })
  customerId: string | null;

  @Id()
  productId: string;

  @Text({ nullable: true })
  customerIdentifier: string | null;

  @Text({ ...AWS_ACCOUNT, nullable: true })
  customerAwsAccountId: string | null;

  @Text({ ...LICENCE, nullable: true })
  licenseArn: string | null;

  @OneOf(STATES)
  state: string;

  @Text({ nullable: true })
  offerId: string | null;

  @Flag()
  isFreeTrial: boolean;

  @Instant({ nullable: true, description: 'Usage is metered from there, by the account’s clock.' })
  activeAt: Date | null;

  @Instant({
    nullable: true,
    description: 'From then on the marketplace takes records for an hour.',
  })
  endingAt: Date | null;

  @Instant({ nullable: true })
  endedAt: Date | null;

  @Instant({ nullable: true, description: 'The first hour whose quantity is not frozen.' })
  sealedTo: Date | null;

  @Instant({ nullable: true, description: 'When AWS last said what was bought by contract.' })
  entitlementsAt: Date | null;

  @Text({
    max: 500,
    nullable: true,
    description: 'Why AWS did not say so at the last attempt; what it said before holds.',
  })
  entitlementsFault: string | null;

  @Instant()
  createdAt: Date;

  @Instant()
  updatedAt: Date;
}

export class CarriedView {
  @Text({ max: 255 })
  dimension: string;

  @Text({ description: 'In units; below zero when more was recorded than is left.' })
  carried: string;
}

export class EntitlementView {
  @Text({ max: 255 })
  dimension: string;

  @Text({ max: 1_024, description: 'As AWS says it: a number, true, false or a text.' })
  value: string;

  @Instant({ nullable: true })
  expiresAt: Date | null;

  @Flag({ description: 'It gives something now.' })
  isLive: boolean;
}

export class AgreementDetailView extends AgreementView {
  @ListOf(() => EntitlementView, {
    max: 2_500,
    description: 'What was bought by contract, as AWS last said.',
  })
  entitlements: EntitlementView[];

  @ListOf(() => CarriedView, { max: 100, description: 'What was metered and is in no record yet.' })
  carried: CarriedView[];
}

export class AgreementPage {
  @ListOf(() => AgreementView, { max: 500 })
  items: AgreementView[];

  @Text({ optional: true })
  next?: string;
}
