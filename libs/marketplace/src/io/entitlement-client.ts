import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import type {
  Entitlement as AwsEntitlement,
  GetEntitlementFilterName,
  MarketplaceEntitlementServiceClient,
} from '@aws-sdk/client-marketplace-entitlement-service';
import { decimal } from '@core/kernel';
import type { Buyer, Entitlement } from '@core/marketplace';
import { Config } from '@io/platform';
import { HOME_REGION, REQUEST_HANDLER } from './marketplace-client.js';

/** An empty page may be followed by others; a marketplace that never ends is not listened to for ever. */
const PAGES_MAX = 100;
const PAGE_SIZE = 25;

/** What buyers have bought of contract products, over AWS's SDK, which is read when it is first needed. */
@Injectable()
export class EntitlementClient implements OnModuleDestroy {
  private client: MarketplaceEntitlementServiceClient | null = null;

  constructor(private readonly config: Config) {}

  onModuleDestroy(): void {
    this.client?.destroy();
  }

  /** All of a buyer's, also what has expired. Throws what the SDK throws. */
  async entitlements(productCode: string, buyer: Buyer): Promise<Entitlement[]> {
    const found: Entitlement[] = [];
    let token: string | undefined;
    const { GetEntitlementsCommand } = await sdk();
    const client = await this.connected();
    for (let page = 0; page < PAGES_MAX; page += 1) {
      const { Entitlements = [], NextToken } = await client.send(
        new GetEntitlementsCommand({
          ProductCode: productCode,
          Filter: filterOf(buyer),
          MaxResults: PAGE_SIZE,
          NextToken: token,
        }),
      );
      found.push(...Entitlements.flatMap((one) => entitlementOf(one) ?? []));
      if (!NextToken) return found;
      token = NextToken;
    }
    throw new Error(`The entitlements of one buyer have more than ${PAGES_MAX} pages.`);
  }

  private async connected(): Promise<MarketplaceEntitlementServiceClient> {
    const { MarketplaceEntitlementServiceClient: Client } = await sdk();
    const { endpoint } = this.config.awsMarketplace;
    this.client ??= new Client({
      region: HOME_REGION,
      maxAttempts: 1,
      ...(endpoint === null ? {} : { endpoint }),
      requestHandler: REQUEST_HANDLER,
    });
    return this.client;
  }
}

const sdk = () => import('@aws-sdk/client-marketplace-entitlement-service');

/** One form of ids: AWS refuses both forms of a buyer together. A licence is one agreement's. */
function filterOf(buyer: Buyer): Partial<Record<GetEntitlementFilterName, string[]>> {
  if (typeof buyer.customerIdentifier === 'string')
    return { CUSTOMER_IDENTIFIER: [buyer.customerIdentifier] };
  const { customerAwsAccountId, licenseArn } = buyer;
  return {
    CUSTOMER_AWS_ACCOUNT_ID: [customerAwsAccountId],
    ...(licenseArn ? { LICENSE_ARN: [licenseArn] } : {}),
  };
}

/** Null of one that names no dimension or has no value. */
function entitlementOf({ Dimension, Value, ExpirationDate }: AwsEntitlement): Entitlement | null {
  const value = Value?.IntegerValue ?? Value?.DoubleValue ?? Value?.BooleanValue;
  const text = value === undefined ? Value?.StringValue : String(value);
  if (!Dimension || text === undefined) return null;
  const units = typeof value === 'boolean' ? Number(value) : value;
  return {
    dimension: Dimension,
    value: text,
    units: units === undefined ? null : decimal(units),
    expiresAt: ExpirationDate ?? null,
  };
}
