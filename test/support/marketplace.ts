import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { AwsError } from './aws-error.js';
import { entitlementPage, type WireEntitlement } from './marketplace-entitlements.js';
import { QueuesStandIn } from './queues.js';

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

/**
 * How the stand-in misbehaves at a call: `drop-after` and `error-after` do the work first; `refuse-batch` refuses records that
 * come together, as AWS does where one of them is wrong, and takes each that comes alone.
 */
export const MARKETPLACE_FAULTS = [
  'throttle',
  'error',
  'error-after',
  'drop-before',
  'drop-after',
  'unprocessed',
  'refuse-batch',
] as const;
export type MarketplaceFault = 'none' | (typeof MARKETPLACE_FAULTS)[number];

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

const HOUR_S = 3_600;
const RECORDS_MAX = 25;
const BYTES_MAX = 1_000_000;
const TOKEN_HOURS = 4;
const SECOND_MS = 1_000;

/**
 * AWS Marketplace in memory, for the real SDKs: metering, registration tokens and entitlements, with queues of Amazon SQS, by the
 * rules of AWS' documentation. It refuses what AWS refuses: no signature, an hour outside its window, another quantity, 26 records.
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
  readonly sqs = new QueuesStandIn();
  /** Decides of each call how it goes wrong. */
  fault: (operation: string) => MarketplaceFault = () => 'none';
  /** AWS documents both for an identical record. */
  repeatsAs: 'Success' | 'DuplicateRecord' = 'Success';
  windowHours = 24;
  pageSize = 25;
  /** The first page of entitlements is empty, and not the last. */
  startsEmpty = false;
  /** Metering calls beyond so many in a second are throttled, as AWS does from ten on; null: none are. */
  callsPerSecond: number | null = null;
  /** Calls that came too fast. */
  throttled = 0;
  private callsLeft = 0;
  private refilledMs = 0;
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
    this.sqs.wake();
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

  /** Goes wrong at a share of all calls from now on, each time in one of the ways, by random numbers that are given. */
  misbehave(share: number, draw: (bound: number) => number): void {
    this.fault = () =>
      draw(1_000) < share * 1_000
        ? (MARKETPLACE_FAULTS[draw(MARKETPLACE_FAULTS.length)] ?? 'none')
        : 'none';
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
    const [service, operation = ''] = String(request.headers['x-amz-target'] ?? '').split('.');
    const fault = this.fault(operation);
    const records =
      operation === 'BatchMeterUsage' ? body.toString().split('"Dimension"').length - 1 : 0;
    this.calls.push({ operation, at: Date.now(), records });
    if (fault === 'drop-before') return void request.socket.destroy();
    try {
      checkSigned(request, service === 'AmazonSQS' ? QUEUES : MARKETPLACE);
      if (fault === 'throttle' || this.isTooFast(operation))
        throw new AwsError('ThrottlingException', 'Rate exceeded');
      if (fault === 'error') throw new AwsError('InternalServiceErrorException', 'Oops', 500);
      const input = JSON.parse(body.toString()) as never;
      const answer =
        service === 'AmazonSQS'
          ? await this.sqs.answer(operation, input)
          : this.answer(operation, input, body.length, fault);
      if (fault === 'drop-after') return void request.socket.destroy();
      if (fault === 'error-after') throw new AwsError('InternalServiceErrorException', 'Oops', 500);
      send(response, 200, answer);
    } catch (error) {
      if (!(error instanceof AwsError)) throw error;
      send(response, error.status, { __type: error.type, message: error.message });
    }
  }

  private isTooFast(operation: string): boolean {
    if (operation !== 'BatchMeterUsage' || this.callsPerSecond === null) return false;
    const now = performance.now();
    const earned = ((now - this.refilledMs) / SECOND_MS) * this.callsPerSecond;
    this.callsLeft = Math.min(this.callsPerSecond, this.callsLeft + earned);
    this.refilledMs = now;
    const isTooFast = this.callsLeft < 1;
    if (isTooFast) this.throttled += 1;
    else this.callsLeft -= 1;
    return isTooFast;
  }

  private answer(operation: string, input: never, bytes: number, fault: MarketplaceFault): object {
    switch (operation) {
      case 'BatchMeterUsage':
        return this.meter(input, bytes, fault);
      case 'ResolveCustomer':
        return this.resolve(input);
      case 'GetEntitlements':
        return entitlementPage(this.entitlements, input, this);
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
    if (fault === 'refuse-batch' && UsageRecords.length > 1)
      throw new AwsError('InvalidUsageDimensionException', 'one of them');
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
}

/** What requests to a service are signed for, and their type. */
const MARKETPLACE = { name: 'aws-marketplace', type: 'application/x-amz-json-1.1' };
const QUEUES = { name: 'sqs', type: 'application/x-amz-json-1.0' };

/** Present and of the right service; a stand-in knows no secret to check it by. */
function checkSigned(
  { headers }: IncomingMessage,
  { name, type }: { readonly name: string; readonly type: string },
): void {
  const form =
    /^AWS4-HMAC-SHA256 Credential=[^/]+\/\d{8}\/[a-z0-9-]+\/([a-z-]+)\/aws4_request, SignedHeaders=[^,]*\bhost\b[^,]*, Signature=[0-9a-f]{64}$/;
  if (form.exec(headers.authorization ?? '')?.[1] !== name || !headers['x-amz-date'])
    throw new AwsError('MissingAuthenticationTokenException', 'Missing Authentication Token', 403);
  if (headers['content-type'] !== type)
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
