import { INDEX_MAX } from '@core/metering';
import { RECORDS_FOUND_MAX, type FoundRecord } from '@io/metering';
import { Flag, Id, Instant, Int, JsonObject, ListOf, Text } from '@io/platform';

export class UsageRecordsQuery {
  @Text({ max: 64, description: 'As `POST /v1/decisions` or `X-Tollgate-Decision-Id` told it.' })
  decisionId: string;
}

/** A usage record as it was counted, and where its gateway sent it. */
export class UsageRecordView {
  @Id()
  gatewayId: string;

  @Text({ max: 64, description: 'Of its batch.' })
  epoch: string;

  @Int({ min: 0, max: Number.MAX_SAFE_INTEGER, description: 'Of its batch.' })
  sequence: number;

  @Int({ min: 0, max: INDEX_MAX, description: 'Its place in the batch, from 0.' })
  index: number;

  @Instant()
  at: string;

  @Instant({ description: 'The hour of UTC that it is rolled up in.' })
  hour: string;

  @Instant()
  receivedAt: string;

  @Flag({ description: 'Whether `GET /v1/usage` shows it yet.' })
  isRolledUp: boolean;

  @Id()
  customerId: string;

  @Id()
  keyId: string;

  @Id()
  apiId: string;

  @Text({ max: 128 })
  stage: string;

  @Text({ min: 0, max: 64, description: 'Empty when no plan ever covered the key.' })
  usagePlanId: string;

  @Text({ max: 128 })
  method: string;

  @Text({ max: 1_536 })
  resourcePath: string;

  @Text({ max: 3 })
  statusClass: string;

  @JsonObject({ description: 'As they came, by meter; of all calls of the record.' })
  quantities: object;

  @Id({ nullable: true, description: 'What was said of it since.' })
  correctionId: string | null;

  static from({ at, receivedAt, ...record }: FoundRecord): UsageRecordView {
    const hour = new Date(at.getTime() - (at.getTime() % HOUR_MS));
    return {
      ...record,
      at: at.toISOString(),
      hour: hour.toISOString(),
      receivedAt: receivedAt.toISOString(),
    };
  }
}

const HOUR_MS = 3_600_000;

export class UsageRecordsView {
  @ListOf(() => UsageRecordView, {
    max: RECORDS_FOUND_MAX,
    description: 'One as a rule; more when gateways name a decision in several.',
  })
  items: UsageRecordView[];
}
