import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import type { MarketplaceMeteringClient, UsageRecord } from '@aws-sdk/client-marketplace-metering';
import { messageOf, Config } from '@io/platform';
import type { BatchAnswer, RecordBody } from '@core/marketplace';

/** Whom a registration token is of, as AWS says. */
export interface ResolvedBuyer {
  readonly productCode: string;
  readonly customerIdentifier: string | null;
  readonly customerAwsAccountId: string | null;
  readonly licenseArn: string | null;
}

/** Tokens are resolved, entitlements kept, and notifications sent, in this Region. */
export const HOME_REGION = 'us-east-1';

/** How long AWS has to answer. */
export const REQUEST_HANDLER = {
  connectionTimeout: 3_000,
  requestTimeout: 10_000,
  throwOnRequestTimeout: true,
};

/** AWS Marketplace over its SDK, which is read when it is first needed. A request is sent once: who calls decides what is sent again. */
@Injectable()
export class MarketplaceClient implements OnModuleDestroy {
  private readonly clients = new Map<string, MarketplaceMeteringClient>();

  constructor(private readonly config: Config) {}

  onModuleDestroy(): void {
    for (const client of this.clients.values()) client.destroy();
  }

  /** Sends one batch. Never throws: what came of it is the answer. */
  async meter(
    region: string,
    productCode: string | null,
    records: readonly RecordBody[],
  ): Promise<BatchAnswer> {
    try {
      const { BatchMeterUsageCommand } = await sdk();
      const command = new BatchMeterUsageCommand({
        ...(productCode === null ? {} : { ProductCode: productCode }),
        UsageRecords: records.map(toSdk),
      });
      const client = await this.client(region);
      const { Results = [], UnprocessedRecords = [] } = await client.send(command);
      return {
        kind: 'answered',
        results: Results.flatMap(({ UsageRecord: record, Status, MeteringRecordId }) =>
          record
            ? [
                {
                  record: fromSdk(record),
                  status: Status ?? 'NoStatus',
                  meteringRecordId: MeteringRecordId ?? null,
                },
              ]
            : [],
        ),
        unprocessed: UnprocessedRecords.map(fromSdk),
      };
    } catch (error) {
      return failure(error);
    }
  }

  /** Whom a token is of; throws what the SDK throws. */
  async resolve(token: string): Promise<ResolvedBuyer> {
    const { ResolveCustomerCommand } = await sdk();
    const client = await this.client(HOME_REGION);
    const answer = await client.send(new ResolveCustomerCommand({ RegistrationToken: token }));
    return {
      productCode: answer.ProductCode ?? '',
      customerIdentifier: answer.CustomerIdentifier || null,
      customerAwsAccountId: answer.CustomerAWSAccountId || null,
      licenseArn: answer.LicenseArn || null,
    };
  }

  private async client(region: string): Promise<MarketplaceMeteringClient> {
    const { MarketplaceMeteringClient: Client } = await sdk();
    const known = this.clients.get(region);
    if (known) return known;
    const { endpoint } = this.config.awsMarketplace;
    const client = new Client({
      region,
      maxAttempts: 1,
      ...(endpoint === null ? {} : { endpoint }),
      requestHandler: REQUEST_HANDLER,
    });
    this.clients.set(region, client);
    return client;
  }
}

const sdk = () => import('@aws-sdk/client-marketplace-metering');

function toSdk(body: RecordBody): UsageRecord {
  return {
    ...body,
    Timestamp: new Date(body.Timestamp * 1000),
    UsageAllocations: body.UsageAllocations?.map(({ AllocatedUsageQuantity, Tags }) => ({
      AllocatedUsageQuantity,
      ...(Tags ? { Tags: [...Tags] } : {}),
    })),
  };
}

/** What tells a record apart, of one that AWS names in an answer. */
function fromSdk(record: UsageRecord) {
  const { Timestamp, CustomerIdentifier, CustomerAWSAccountId, LicenseArn, Dimension } = record;
  return {
    Timestamp: (Timestamp?.getTime() ?? 0) / 1000,
    ...(CustomerIdentifier === undefined ? {} : { CustomerIdentifier }),
    ...(CustomerAWSAccountId === undefined ? {} : { CustomerAWSAccountId }),
    ...(LicenseArn === undefined ? {} : { LicenseArn }),
    Dimension: Dimension ?? '',
  };
}

/**
 * A refusal has a name, a status from 400 to 499, and took nothing; without credentials nothing was sent. Anything else
 * says nothing of what was taken: also an answer of 500 and more, which may come after the work was done.
 */
function failure(error: unknown): BatchAnswer {
  const name = error instanceof Error ? error.name : '';
  if (name === 'CredentialsProviderError') return { kind: 'refused', error: name };
  const status = statusOf(error);
  if (status !== null && status >= 400 && status < 500 && name !== '')
    return { kind: 'refused', error: name };
  return { kind: 'unknown', cause: (name || messageOf(error)).slice(0, 200) };
}

function statusOf(error: unknown): number | null {
  if (typeof error !== 'object' || error === null || !('$metadata' in error)) return null;
  const metadata = error.$metadata;
  if (typeof metadata !== 'object' || metadata === null || !('httpStatusCode' in metadata))
    return null;
  return typeof metadata.httpStatusCode === 'number' ? metadata.httpStatusCode : null;
}
