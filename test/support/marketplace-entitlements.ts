import { AwsError } from './aws-error.js';

/** An entitlement of a contract product. */
export interface WireEntitlement {
  readonly ProductCode: string;
  readonly Dimension: string;
  readonly CustomerIdentifier?: string;
  readonly CustomerAWSAccountId?: string;
  readonly LicenseArn?: string;
  readonly Value: {
    readonly IntegerValue?: number;
    readonly DoubleValue?: number;
    readonly BooleanValue?: boolean;
    readonly StringValue?: string;
  };
  /** In seconds of the epoch. */
  readonly ExpirationDate?: number;
}

/** What GetEntitlements asks. */
export interface EntitlementsRequest {
  readonly ProductCode?: string;
  readonly Filter?: Readonly<Record<string, readonly string[]>>;
  readonly NextToken?: string;
  readonly MaxResults?: number;
}

const PAGE_MAX = 25;

/** By which member of an entitlement each filter chooses. */
const FILTERS: Readonly<Record<string, (one: WireEntitlement) => string | undefined>> = {
  CUSTOMER_IDENTIFIER: (one) => one.CustomerIdentifier,
  CUSTOMER_AWS_ACCOUNT_ID: (one) => one.CustomerAWSAccountId,
  LICENSE_ARN: (one) => one.LicenseArn,
  DIMENSION: (one) => one.Dimension,
};

/** A page of entitlements by the rules of AWS: values of a filter are alternatives, filters hold together. */
export function entitlementPage(
  all: readonly WireEntitlement[],
  { ProductCode, Filter = {}, NextToken, MaxResults = PAGE_MAX }: EntitlementsRequest,
  { pageSize, startsEmpty }: { readonly pageSize: number; readonly startsEmpty: boolean },
): object {
  if (!ProductCode) throw invalid('ProductCode is required');
  if (!all.some((one) => one.ProductCode === ProductCode))
    throw invalid(`${ProductCode} is no contract product`);
  if (!Number.isInteger(MaxResults) || MaxResults < 1 || MaxResults > PAGE_MAX)
    throw invalid('MaxResults is from 1 to 25');
  if (Filter['CUSTOMER_IDENTIFIER'] && Filter['CUSTOMER_AWS_ACCOUNT_ID'])
    throw invalid('one of the ids of a customer');
  for (const [name, values] of Object.entries(Filter))
    if (!FILTERS[name] || values.length === 0) throw invalid(`the filter ${name}`);
  const found = all.filter(
    (one) =>
      one.ProductCode === ProductCode &&
      Object.entries(Filter).every(([name, values]) => values.includes(FILTERS[name]?.(one) ?? '')),
  );
  // A page may be empty and not the last.
  if (startsEmpty && NextToken === undefined) return { Entitlements: [], NextToken: 'page-0' };
  const from = NextToken === undefined ? 0 : pageOf(NextToken);
  const to = from + Math.min(pageSize, MaxResults);
  return {
    Entitlements: found.slice(from, to),
    ...(to < found.length ? { NextToken: `page-${to}` } : {}),
  };
}

function pageOf(token: string): number {
  const [, from] = /^page-(\d+)$/.exec(token) ?? [];
  if (from === undefined) throw invalid('NextToken');
  return Number(from);
}

const invalid = (message: string) => new AwsError('InvalidParameterException', message);
