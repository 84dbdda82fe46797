import assert from 'node:assert';
import type { UsageAllocation } from './usage-allocations.js';
import { QUANTITY_MAX } from './seal-hours.js';

/**
 * By what AWS knows a buyer. Products of 2026-06 and later name account and licence, and then no product; older ones either
 * id, with the product. Both for one buyer and hour would be billed twice, so an agreement has one form for ever.
 */
export type Buyer =
  | {
      readonly customerIdentifier: string;
      readonly customerAwsAccountId?: null;
      readonly licenseArn?: null;
    }
  | {
      readonly customerIdentifier?: null;
      readonly customerAwsAccountId: string;
      readonly licenseArn?: string | null;
    };

/** Who is metered, of what, in which hour, and how much. */
export interface MeteredQuantity {
  readonly buyer: Buyer;
  readonly dimension: string;
  /** The start of the hour, which is also what the record says as its time, however often it is sent. */
  readonly hour: Date;
  readonly quantity: number;
  readonly allocations: readonly UsageAllocation[];
}

/** A usage record as AWS takes it, in JSON: times are seconds. */
export interface RecordBody {
  readonly Timestamp: number;
  readonly CustomerIdentifier?: string;
  readonly CustomerAWSAccountId?: string;
  readonly LicenseArn?: string;
  readonly Dimension: string;
  readonly Quantity: number;
  readonly UsageAllocations?: readonly {
    readonly AllocatedUsageQuantity: number;
    readonly Tags?: readonly { readonly Key: string; readonly Value: string }[];
  }[];
}

/** The record of a sealed hour. What it says is frozen with the hour: a second attempt sends the same. */
export function recordBody(metered: MeteredQuantity): RecordBody {
  const { buyer, dimension, hour, quantity, allocations } = metered;
  assert(Number.isInteger(quantity) && quantity >= 0 && quantity <= QUANTITY_MAX);
  assert(hour.getTime() % 3_600_000 === 0, 'A record is of a whole hour.');
  const sum = allocations.reduce((total, each) => total + each.quantity, 0);
  assert(allocations.length === 0 || sum === quantity, 'Allocations add up to the quantity.');
  return {
    Timestamp: hour.getTime() / 1000,
    ...buyerFields(buyer),
    Dimension: dimension,
    Quantity: quantity,
    ...(allocations.length === 0
      ? {}
      : {
          UsageAllocations: allocations.map(({ quantity: part, tags }) => ({
            AllocatedUsageQuantity: part,
            ...(tags.length === 0
              ? {}
              : { Tags: tags.map(({ key, value }) => ({ Key: key, Value: value })) }),
          })),
        }),
  };
}

function buyerFields(buyer: Buyer) {
  if (typeof buyer.customerIdentifier === 'string')
    return { CustomerIdentifier: buyer.customerIdentifier };
  return {
    CustomerAWSAccountId: buyer.customerAwsAccountId,
    ...(buyer.licenseArn ? { LicenseArn: buyer.licenseArn } : {}),
  };
}

/** What AWS tells two records of one product and Region apart by; the first quantity stands. */
export function identityOf(
  body: Pick<
    RecordBody,
    'Timestamp' | 'CustomerIdentifier' | 'CustomerAWSAccountId' | 'LicenseArn' | 'Dimension'
  >,
): string {
  const hour = Math.floor(body.Timestamp / 3600);
  const buyer = [body.CustomerIdentifier, body.CustomerAWSAccountId, body.LicenseArn];
  return JSON.stringify([...buyer.map((id) => id ?? null), body.Dimension, hour]);
}
