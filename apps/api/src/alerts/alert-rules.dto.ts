import { ALERT_GROUPS, ALERT_MEASURES, METERS } from '@core/metering';
import { Email, Flag, Id, Instant, Int, ListOf, OneOf, Text, TextList } from '@io/platform';

const PERIODS = ['DAY', 'WEEK', 'MONTH'];
const THRESHOLDS_MAX = 20;
const EMAILS_MAX = 20;
const OFFSET = 'The day a period starts, in UTC: DAY 0, WEEK 0 to 6 from Sunday, MONTH 0 to 27.';
/** Stands in the subject of messages, so it is one line. */
const ONE_LINE = /^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]+$/; // oxlint-disable-line no-control-regex
const NAME = { max: 128, pattern: ONE_LINE, patternSays: 'be one line' };

export class RecipientDto {
  @Email()
  email: string;
}

export class UpdateAlertRuleDto {
  @Text({ ...NAME, optional: true })
  name?: string;

  @TextList({
    min: 1,
    max: THRESHOLDS_MAX,
    itemMax: 40,
    optional: true,
    description: 'Percents of the quota, or amounts of the meter, as decimals in strings.',
    example: ['80', '100'],
  })
  thresholds?: string[];

  @ListOf(() => RecipientDto, { max: EMAILS_MAX, optional: true, description: 'Who gets e-mail.' })
  recipients?: RecipientDto[];

  @Flag({ optional: true })
  enabled?: boolean;
}

export class CreateAlertRuleDto {
  @Text(NAME)
  name: string;

  @OneOf(ALERT_MEASURES, {
    description: '`quota-percent`: of the calls of a key in a plan. `usage`: an amount of a meter.',
  })
  measure: (typeof ALERT_MEASURES)[number];

  @TextList({
    min: 1,
    max: THRESHOLDS_MAX,
    itemMax: 40,
    description: 'Percents of the quota, or amounts of the meter, as decimals in strings.',
    example: ['80', '100'],
  })
  thresholds: string[];

  @OneOf(METERS, { optional: true, description: 'calls when left out, and always of a quota.' })
  meter?: (typeof METERS)[number];

  @OneOf(ALERT_GROUPS, {
    optional: true,
    description: 'Whose usage is added up; key when left out, and always of a quota.',
  })
  per?: (typeof ALERT_GROUPS)[number];

  @Id({ optional: true, description: 'Only usage of this key.' })
  keyId?: string;

  @Id({ optional: true, description: 'Only usage of this customer.' })
  customerId?: string;

  @Id({ optional: true, description: 'Only usage under this plan.' })
  usagePlanId?: string;

  @OneOf(PERIODS, {
    optional: true,
    description: 'When usage is counted anew, MONTH when left out; a quota has its own.',
  })
  period?: 'DAY' | 'WEEK' | 'MONTH';

  @Int({ min: 0, max: 27, optional: true, description: OFFSET })
  offset?: number;

  @ListOf(() => RecipientDto, { max: EMAILS_MAX, optional: true, description: 'Who gets e-mail.' })
  recipients?: RecipientDto[];

  @Flag({ optional: true })
  enabled?: boolean;
}

export class AlertRuleView {
  @Id()
  id: string;

  @Text({ max: 128 })
  name: string;

  @OneOf(ALERT_MEASURES)
  measure: string;

  @Text()
  meter: string;

  @OneOf(ALERT_GROUPS)
  per: string;

  @Id({ nullable: true })
  keyId: string | null;

  @Id({ nullable: true })
  customerId: string | null;

  @Id({ nullable: true })
  usagePlanId: string | null;

  @OneOf(PERIODS, { nullable: true })
  period: string | null;

  @Int({ min: 0, max: 27, nullable: true, description: OFFSET })
  offset: number | null;

  @TextList({ max: THRESHOLDS_MAX, itemMax: 40, description: 'Rising.' })
  thresholds: string[];

  @ListOf(() => RecipientDto, { max: EMAILS_MAX })
  recipients: RecipientDto[];

  @Flag()
  enabled: boolean;

  @Instant()
  createdAt: Date;

  @Instant()
  updatedAt: Date;
}

export class AlertRulePage {
  @ListOf(() => AlertRuleView, { max: 500 })
  items: AlertRuleView[];

  @Text({ optional: true })
  next?: string;
}

export class AlertCrossingView {
  @Id({ description: '`crossingId` of the event.' })
  id: string;

  @Text({
    description: 'Whose usage: `key/…`, `customer/…`, `usage-plan/…` or `usage-plan/…/key/…`.',
  })
  subject: string;

  @Instant()
  periodFrom: Date;

  @Instant()
  periodTo: Date;

  @Text()
  threshold: string;

  @Int({ min: 1, max: 1_000_000, description: 'More than 1 when usage was below it in between.' })
  occurrence: number;

  @Text()
  quantity: string;

  @Text({ nullable: true, description: 'The quota that was in force.' })
  quota: string | null;

  @Instant({ description: "By the account's clock." })
  crossedAt: Date;

  @Instant({ nullable: true, description: 'When usage was seen below it again.' })
  fellAt: Date | null;

  @Instant()
  createdAt: Date;
}

export class AlertCrossingPage {
  @ListOf(() => AlertCrossingView, { max: 500 })
  items: AlertCrossingView[];

  @Text({ optional: true })
  next?: string;
}
