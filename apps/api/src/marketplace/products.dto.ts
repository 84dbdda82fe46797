import { QUEUE_URL } from '@io/marketplace';
import { Flag, Id, Instant, Int, ListOf, Quantity, Text, TextList } from '@io/platform';

const DIMENSIONS_MAX = 50;
const TOPICS_MAX = 10;
const TAGS_MAX = 5;
const PRODUCT_CODE = {
  max: 64,
  pattern: /^[A-Za-z0-9_-]+$/,
  patternSays: 'be a product code of AWS Marketplace',
  example: 'n0123EXAMPLEXXXXXXXXXXXX',
};
const DIMENSION = {
  max: 255,
  pattern: /^[A-Za-z0-9_.-]+$/,
  patternSays: 'be a dimension as it is called on AWS',
};
const REGION = {
  max: 32,
  pattern: /^[a-z]{2}(-[a-z]+)+-\d$/,
  patternSays: 'be a Region of AWS, such as us-east-1',
  example: 'us-east-1',
};
const WINDOW = {
  min: 1,
  max: 24,
  description: 'Records of an hour that is so many hours old are refused: 24 today.',
};
const LAG = {
  min: 0,
  max: 300,
  description: 'From the end of an hour to when its quantity is frozen; 60 when left out.',
};
const ZERO = { description: 'Hours without usage get a record of zero.' };
const TAGS = {
  max: TAGS_MAX,
  itemMax: 32,
  description:
    'What a quantity is split by, as allocations with tags: keyId, apiId, stage, method, resourcePath, statusClass, customerId or usagePlanId.',
};
const TOPICS = {
  max: TOPICS_MAX,
  itemMax: 256,
  description: 'Topics of Amazon SNS whose notifications are taken.',
};
const QUEUE = {
  max: 256,
  nullable: true,
  pattern: QUEUE_URL,
  patternSays: 'be the URL of a queue of Amazon SQS',
  description:
    'A queue of Amazon SQS where notifications of SNS or events of EventBridge come to, also those of other products of the account.',
};
const PLANS = {
  max: DIMENSIONS_MAX,
  description:
    'Of a contract product, in rising order: the plan that a buyer’s keys are put into while they have bought the dimension; of several the last.',
};
const QUOTA_PER_UNIT = {
  min: 1,
  max: 2_147_483_647,
  nullable: true,
  description:
    'So many calls of the quota are one unit, shared by the keys of the buyer; null: the plan’s own quota, for each key.',
};
const PLAN = {
  nullable: true,
  description: 'The plan that a buyer’s keys are put into while an agreement lasts.',
};

export class DimensionBody {
  @Text(DIMENSION)
  dimension: string;

  @Text({
    max: 64,
    optional: true,
    nullable: true,
    description: 'What is counted; or a rate card.',
  })
  meter?: string | null;

  @Id({
    optional: true,
    nullable: true,
    description: 'Whose prices the usage of a month is metered by, as an amount.',
  })
  rateCardId?: string | null;

  @Int({
    min: 1,
    max: 1_000_000,
    optional: true,
    nullable: true,
    description: 'The newest when left out.',
  })
  rateCardVersion?: number | null;

  @Quantity({
    optional: true,
    description: 'So much of the meter, or of the card’s currency, is one unit; 1 when left out.',
  })
  unitSize?: string;

  @Quantity({
    optional: true,
    nullable: true,
    description: 'What the marketplace charges for a unit.',
  })
  usdPerUnit?: string | null;
}

export class EntitledPlanBody {
  @Text(DIMENSION)
  dimension: string;

  @Id()
  usagePlanId: string;

  @Int({ ...QUOTA_PER_UNIT, optional: true })
  quotaPerUnit?: number | null;
}

export class UpdateProductBody {
  @Text({ optional: true })
  name?: string;

  @ListOf(() => DimensionBody, {
    min: 1,
    max: DIMENSIONS_MAX,
    optional: true,
    description: 'Others are added; of those that are there only usdPerUnit changes.',
  })
  dimensions?: DimensionBody[];

  @Int({ ...WINDOW, optional: true })
  windowHours?: number;

  @Int({ ...LAG, optional: true })
  sealLagMinutes?: number;

  @Flag({ ...ZERO, optional: true })
  sendsZero?: boolean;

  @TextList({ ...TAGS, optional: true })
  allocateBy?: string[];

  @TextList({ ...TOPICS, optional: true })
  topicArns?: string[];

  @Id({ ...PLAN, optional: true })
  usagePlanId?: string | null;

  @Text({ ...QUEUE, optional: true })
  queueUrl?: string | null;

  @ListOf(() => EntitledPlanBody, { ...PLANS, optional: true })
  entitledPlans?: EntitledPlanBody[];
}

export class CreateProductBody extends UpdateProductBody {
  @Text(PRODUCT_CODE)
  productCode: string;

  @Text()
  declare name: string;

  @Text({
    ...REGION,
    optional: true,
    description: 'Where records are sent; us-east-1 when left out. For good.',
  })
  region?: string;
}

export class DimensionView {
  @Text(DIMENSION)
  dimension: string;

  @Text({ max: 64, nullable: true })
  meter: string | null;

  @Id({ nullable: true })
  rateCardId: string | null;

  @Int({ min: 1, max: 1_000_000, nullable: true })
  rateCardVersion: number | null;

  @Quantity()
  unitSize: string;

  @Quantity({ nullable: true })
  usdPerUnit: string | null;
}

export class EntitledPlanView {
  @Text(DIMENSION)
  dimension: string;

  @Id()
  usagePlanId: string;

  @Int(QUOTA_PER_UNIT)
  quotaPerUnit: number | null;
}

export class ProductView {
  @Id()
  id: string;

  @Text(PRODUCT_CODE)
  productCode: string;

  @Text()
  name: string;

  @Text(REGION)
  region: string;

  @ListOf(() => DimensionView, { max: DIMENSIONS_MAX })
  dimensions: DimensionView[];

  @Int(WINDOW)
  windowHours: number;

  @Int(LAG)
  sealLagMinutes: number;

  @Flag(ZERO)
  sendsZero: boolean;

  @TextList(TAGS)
  allocateBy: string[];

  @TextList(TOPICS)
  topicArns: string[];

  @Id(PLAN)
  usagePlanId: string | null;

  @Text(QUEUE)
  queueUrl: string | null;

  @ListOf(() => EntitledPlanView, PLANS)
  entitledPlans: EntitledPlanView[];

  @Instant()
  createdAt: Date;

  @Instant()
  updatedAt: Date;
}

export class ProductDetailView extends ProductView {
  @Instant({ nullable: true, description: 'When its queue was last read.' })
  queueReadAt: Date | null;

  @Text({ max: 500, nullable: true, description: 'Why its queue could not be read since.' })
  queueFault: string | null;
}

export class ProductPage {
  @ListOf(() => ProductView, { max: 500 })
  items: ProductView[];

  @Text({ optional: true })
  next?: string;
}
