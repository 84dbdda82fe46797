import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A usage record on the wire. */
export interface WireRecord {
  readonly Timestamp: number;
  readonly CustomerIdentifier?: string;
  readonly CustomerAWSAccountId?: string;
  readonly LicenseArn?: string;
  readonly Dimension: string;
  readonly Quantity?: number;
  readonly UsageAllocations?: readonly {
    readonly AllocatedUsageQuantity: number;
    readonly Tags?: readonly { readonly Key: string; readonly Value: string }[];
  }[];
}

/** How the stand-in misbehaves at a call: `drop-after` and `error-after` do the work first. */
export type MarketplaceFault =
  'none' | 'throttle' | 'error' | 'error-after' | 'drop-before' | 'drop-after' | 'unprocessed';

/** An entitlement of a contract product. */
export interface WireEntitlement {
  readonly ProductCode: string;
  readonly Dimension: string;
  readonly CustomerIdentifier?: string;
  readonly CustomerAWSAccountId?: string;
  readonly LicenseArn?: string;
  readonly Value: { readonly IntegerValue?: number; readonly BooleanValue?: boolean };
  readonly ExpirationDate?: number;
}

interface Buyer {
  readonly CustomerIdentifier?: string;
  readonly CustomerAWSAccountId?: string;
  readonly LicenseArn?: string;
  readonly ProductCode: string;
}

/** What was stored of an hour: the first quantity stands. */
interface Taken extends WireRecord {
  readonly id: string;
  readonly productCode: string | null;
}

class AwsError extends Error {
  constructor(
    readonly type: string,
    message: string,
    readonly status = 400,
  ) {
    super(message);
  }
}

const HOUR_S = 3_600;
const RECORDS_MAX = 25;
const BYTES_MAX = 1_000_000;
const TOKEN_HOURS = 4;

/**
 * AWS Marketplace in memory, for the real SDKs: metering, registration tokens and entitlements, with the rules of AWS'
 * documentation. It refuses what AWS refuses: no signature, an hour outside its window, another quantity, 26 records.
 */
export class MarketplaceStandIn {
  /** Calls that were answered or dropped, by operation and in their order. */
  readonly calls: { readonly operation: string; readonly at: number; readonly records: number }[] =
    [];
  /** Hours as AWS bills them, by their identity. */
  readonly taken = new Map<string, Taken>();
  /** Every record that ever came, with its exact text. */
  readonly seen: { readonly identity: string; readonly text: string; readonly at: Date }[] = [];
  readonly dimensions = new Map<string, readonly string[]>();
  readonly subscribed = new Set<string>();
  readonly tokens = new Map<string, { buyer: Buyer; issuedAt: Date }>();
  readonly entitlements: WireEntitlement[] = [];
  /** Decides of each call how it goes wrong. */
  fault: (operation: string) => MarketplaceFault = () => 'none';
  /** AWS documents both for an identical record. */
  repeatsAs: 'Success' | 'DuplicateRecord' = 'Success';
  windowHours = 24;
  pageSize = 25;
  now: () => Date = () => new Date();
  private ids = 0;

  private constructor(private readonly server: Server) {}

  static async start(): Promise<MarketplaceStandIn> {
    const server = createServer();
    const standIn = new MarketplaceStandIn(server);
    server.on('request', (request, response) => void standIn.handle(request, response));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return standIn;
  }

  get url(): string {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a TCP server's address is an AddressInfo
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.server.close(resolve));
    this.server.closeAllConnections();
    await closed;
  }

  /** Registers a buyer's subscription: from now on records of it are taken. */
  subscribe(buyer: Omit<Buyer, 'ProductCode'>): void {
    this.subscribed.add(buyerKey(buyer));
  }

  unsubscribe(buyer: Omit<Buyer, 'ProductCode'>): void {
    this.subscribed.delete(buyerKey(buyer));
  }

  /** Bills a record as if another program had sent it. */
  bill(record: WireRecord, productCode: string | null): void {
    this.take(record, productCode);
  }

  /** What AWS would bill of a dimension. */
  billed(dimension: string): number {
    return [...this.taken.values()]
      .filter((one) => one.Dimension === dimension)
      .reduce((sum, { Quantity = 0 }) => sum + Quantity, 0);
  }

  private async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    const operation = String(request.headers['x-amz-target'] ?? '').split('.')[1] ?? '';
    const fault = this.fault(operation);
    const records =
      operation === 'BatchMeterUsage' ? body.toString().split('"Dimension"').length - 1 : 0;
    this.calls.push({ operation, at: Date.now(), records });
    if (fault === 'drop-before') return void request.socket.destroy();
    try {
      checkSigned(request);
      if (fault === 'throttle') throw new AwsError('ThrottlingException', 'Rate exceeded');
      if (fault === 'error') throw new AwsError('InternalServiceErrorException', 'Oops', 500);
      const answer = this.answer(
        operation,
        JSON.parse(body.toString()) as never,
        body.length,
        fault,
      );
      if (fault === 'drop-after') return void request.socket.destroy();
      if (fault === 'error-after') throw new AwsError('InternalServiceErrorException', 'Oops', 500);
      send(response, 200, answer);
    } catch (error) {
      if (!(error instanceof AwsError)) throw error;
      send(response, error.status, { __type: error.type, message: error.message });
    }
  }

  private answer(operation: string, input: never, bytes: number, fault: MarketplaceFault): object {
    switch (operation) {
      case 'BatchMeterUsage':
        return this.meter(input, bytes, fault);
      case 'ResolveCustomer':
        return this.resolve(input);
      case 'GetEntitlements':
        return this.entitled(input);
      default:
        throw new AwsError('UnknownOperationException', operation);
    }
  }

  private meter(
    { ProductCode, UsageRecords }: { ProductCode?: string; UsageRecords: WireRecord[] },
    bytes: number,
    fault: MarketplaceFault,
  ): object {
    if (UsageRecords.length > RECORDS_MAX || bytes >= BYTES_MAX)
      throw new AwsError('ValidationException', 'too many records');
    for (const record of UsageRecords) this.check(record, ProductCode ?? null);
    const unprocessed = fault === 'unprocessed' ? UsageRecords.filter((_, n) => n % 2 === 0) : [];
    const results = UsageRecords.filter((record) => !unprocessed.includes(record)).map((record) =>
      this.take(record, ProductCode ?? null),
    );
    return { Results: results, UnprocessedRecords: unprocessed };
  }

  /** Throws what fails the whole request. */
  private check(record: WireRecord, productCode: string | null): void {
    const { Timestamp, CustomerIdentifier, CustomerAWSAccountId, LicenseArn, Dimension } = record;
    const { Quantity = 0, UsageAllocations } = record;
    const identity = identityOf(record, productCode);
    this.seen.push({ identity, text: JSON.stringify(record), at: this.now() });
    if ((CustomerIdentifier === undefined) === (CustomerAWSAccountId === undefined))
      throw new AwsError('InvalidCustomerIdentifierException', 'exactly one id');
    if ((LicenseArn === undefined) === (productCode === null))
      throw new AwsError('InvalidLicenseException', 'a licence and no product, or a product');
    const known = this.dimensions.get(productCode ?? 'licensed');
    if (known && !known.includes(Dimension))
      throw new AwsError('InvalidUsageDimensionException', Dimension);
    if (!Number.isInteger(Quantity) || Quantity < 0 || Quantity > 2_147_483_647)
      throw new AwsError('ValidationException', 'quantity');
    if (!this.isOpen(Timestamp))
      throw new AwsError('TimestampOutOfBoundsException', String(Timestamp));
    if (UsageAllocations) checkAllocations(UsageAllocations, Quantity);
  }

  private isOpen(timestamp: number): boolean {
    const now = this.now();
    const at = new Date(timestamp * 1000);
    const thisMonth = Date.UTC(now.getUTCFullYear(), now.getUTCMonth());
    const isOfMonth = at.getTime() >= thisMonth || now.getTime() < thisMonth + 6 * HOUR_S * 1000;
    const age = now.getTime() - at.getTime();
    return age >= 0 && age < this.windowHours * HOUR_S * 1000 && isOfMonth;
  }

  private take(record: WireRecord, productCode: string | null) {
    if (!this.subscribed.has(buyerKey(record)))
      return { UsageRecord: record, Status: 'CustomerNotSubscribed' };
    const identity = identityOf(record, productCode);
    const first = this.taken.get(identity);
    if (!first) {
      this.ids += 1;
      const id = `metering-${this.ids}`;
      this.taken.set(identity, { ...record, id, productCode });
      return { UsageRecord: record, Status: 'Success', MeteringRecordId: id };
    }
    const isSame = (first.Quantity ?? 0) === (record.Quantity ?? 0);
    const status = isSame ? this.repeatsAs : 'DuplicateRecord';
    return { UsageRecord: record, Status: status, MeteringRecordId: first.id };
  }

  private resolve({ RegistrationToken }: { RegistrationToken: string }): object {
    const known = this.tokens.get(RegistrationToken);
    if (!known) throw new AwsError('InvalidTokenException', 'Registration token is invalid');
    if (this.now().getTime() - known.issuedAt.getTime() > TOKEN_HOURS * HOUR_S * 1000)
      throw new AwsError('ExpiredTokenException', 'Registration token has expired');
    return known.buyer;
  }

  private entitled(input: {
    ProductCode: string;
    Filter?: Record<string, string[]>;
    NextToken?: string;
  }): object {
    const { ProductCode, Filter = {}, NextToken = '0' } = input;
    if (Filter['CUSTOMER_IDENTIFIER'] && Filter['CUSTOMER_AWS_ACCOUNT_ID'])
      throw new AwsError('InvalidParameterException', 'one of the ids');
    const matches = (name: string, value: string | undefined) =>
      !Filter[name] || Filter[name].includes(value ?? '');
    const all = this.entitlements.filter(
      (one) =>
        one.ProductCode === ProductCode &&
        matches('CUSTOMER_IDENTIFIER', one.CustomerIdentifier) &&
        matches('CUSTOMER_AWS_ACCOUNT_ID', one.CustomerAWSAccountId) &&
        matches('LICENSE_ARN', one.LicenseArn) &&
        matches('DIMENSION', one.Dimension),
    );
    const from = Number(NextToken);
    const to = from + this.pageSize;
    const Entitlements = all.slice(from, to);
    return { Entitlements, ...(to < all.length ? { NextToken: String(to) } : {}) };
  }
}

/** Present and of the right service; a stand-in knows no secret to check it by. */
function checkSigned({ headers }: IncomingMessage): void {
  const { authorization = '' } = headers;
  const form =
    /^AWS4-HMAC-SHA256 Credential=[^/]+\/\d{8}\/[a-z0-9-]+\/aws-marketplace\/aws4_request, SignedHeaders=[^,]*\bhost\b[^,]*, Signature=[0-9a-f]{64}$/;
  if (!form.test(authorization) || !headers['x-amz-date'])
    throw new AwsError('MissingAuthenticationTokenException', 'Missing Authentication Token', 403);
  if (headers['content-type'] !== 'application/x-amz-json-1.1')
    throw new AwsError('SerializationException', 'content type');
}

function checkAllocations(
  allocations: NonNullable<WireRecord['UsageAllocations']>,
  quantity: number,
): void {
  const sum = allocations.reduce((total, one) => total + one.AllocatedUsageQuantity, 0);
  const tags = allocations.map(({ Tags = [] }) => JSON.stringify(Tags));
  if (sum !== quantity || allocations.length > 2_500 || new Set(tags).size !== tags.length)
    throw new AwsError('InvalidUsageAllocationsException', 'allocations');
  for (const { Tags = [] } of allocations)
    if (Tags.length > 5 || Tags.some(({ Key, Value }) => !isTag(Key, 100) || !isTag(Value, 256)))
      throw new AwsError('InvalidTagException', 'tag');
}

const isTag = (text: string, max: number) =>
  text.length > 0 && text.length <= max && /^[a-zA-Z0-9+ \-=._:\\/@]+$/.test(text);

const buyerKey = ({
  CustomerIdentifier,
  CustomerAWSAccountId,
  LicenseArn,
}: Omit<Buyer, 'ProductCode'>) =>
  JSON.stringify([CustomerIdentifier ?? null, CustomerAWSAccountId ?? null, LicenseArn ?? null]);

const identityOf = (record: WireRecord, productCode: string | null) =>
  JSON.stringify([
    productCode,
    buyerKey(record),
    record.Dimension,
    Math.floor(record.Timestamp / HOUR_S),
  ]);

function send(response: ServerResponse, status: number, body: object): void {
  response
    .writeHead(status, {
      'content-type': 'application/x-amz-json-1.1',
      'x-amzn-requestid': '00000000-0000-0000-0000-000000000000',
    })
    .end(JSON.stringify(body));
}
