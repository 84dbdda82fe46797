import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Stripe } from 'stripe';
import { list, StripeBooks, StripeRefusal, type StripeObject } from './stripe-books.js';
import { parseForm, type Form } from './stripe-form.js';

/** How a call goes wrong. */
export type Fault =
  /** 429 before anything is done. */
  | 'rate-limit'
  /** Another call holds the object. */
  | 'lock-timeout'
  /** 500 before anything is done; kept under the key, as Stripe does. */
  | 'error-before'
  /** 500 after all was done; kept under the key. */
  | 'error-after'
  /** All was done, and nobody hears of it. */
  | 'drop-after'
  /** Another call under the same key is on its way. */
  | 'key-in-use'
  /** A proxy's answer that has no `error`. */
  | 'proxy'
  /** Never answered. */
  | 'silence';

/** Those that any call may meet, and that another try gets over. */
export const STRIPE_FAULTS: readonly Fault[] = [
  'rate-limit',
  'lock-timeout',
  'error-before',
  'error-after',
  'drop-after',
  'proxy',
];

interface Answer {
  readonly status: number;
  readonly body: object;
  readonly headers?: Record<string, string>;
}

interface Kept {
  readonly hash: string;
  readonly at: number;
  readonly answer: Answer | null;
}

/** One request that came. */
export interface Call {
  readonly method: string;
  readonly path: string;
  readonly key: string | null;
  readonly at: number;
}

export const STRIPE_KEY = 'sk_test_standin0000000000000000';
export const STRIPE_ACCOUNT = 'acct_standin';
export const WEBHOOK_SECRET = 'whsec_standin00000000000000000000';
const KEY_LIFE_SECONDS = 24 * 3_600;
const PAGE = 10;

/**
 * A stateful Stripe for tests: a real HTTP server that the real SDK talks to. It refuses what Stripe refuses, keeps answers
 * under idempotency keys for 24 hours of its own clock, goes wrong on demand, and signs its events.
 */
export class StripeStandIn {
  readonly calls: Call[] = [];
  readonly books: StripeBooks;
  /** Keys that are good; others are of nobody. */
  readonly secretKeys = new Set([STRIPE_KEY]);
  /** How many calls a second it takes, of all and of each endpoint; above that it says 429. */
  limit: { readonly account: number; readonly endpoint: number } | null = null;
  /** How often it said so. */
  tooManyCalls = 0;
  private readonly buckets = new Map<string, { tokens: number; at: number }>();
  private readonly kept = new Map<string, Kept>();
  private readonly faults: {
    readonly matches: (call: string) => boolean;
    readonly fault: Fault;
  }[] = [];
  private chaos: (call: string) => Fault | null = () => null;
  private skewSeconds = 0;

  private constructor(private readonly server: Server) {
    this.books = new StripeBooks(false, () => this.now());
  }

  static async start(): Promise<StripeStandIn> {
    const server = createServer();
    const standIn = new StripeStandIn(server);
    server.on('request', (request, response) => void standIn.serve(request, response));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return standIn;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  stop(): void {
    this.server.closeAllConnections();
    this.server.close();
  }

  /** Lets its clock run ahead. */
  pass(seconds: number): void {
    this.skewSeconds += seconds;
  }

  /** The next call whose `METHOD /path` has the text goes wrong. */
  failNext(text: string, ...faults: Fault[]): void {
    for (const fault of faults) this.faults.push({ matches: (call) => call.includes(text), fault });
  }

  /** Any call, `METHOD /path`, may go wrong; what the function does has happened before. */
  misbehave(chaos: (call: string) => Fault | null): void {
    this.chaos = chaos;
  }

  /** An event as it is posted: the exact bytes, and the signature over them. */
  signed(event: object, { secret = WEBHOOK_SECRET, at = Math.floor(Date.now() / 1_000) } = {}) {
    const payload = JSON.stringify(event);
    const signature = Stripe.webhooks.generateTestHeaderString({ payload, secret, timestamp: at });
    return {
      payload,
      headers: { 'stripe-signature': signature, 'content-type': 'application/json' },
    };
  }

  /** How often something was done, whoever asked. */
  callsTo(text: string): Call[] {
    return this.calls.filter(({ method, path }) => `${method} ${path}`.includes(text));
  }

  private now(): number {
    return Math.floor(Date.now() / 1_000) + this.skewSeconds;
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks).toString();
    const url = new URL(request.url ?? '/', this.url);
    const method = request.method ?? 'GET';
    const header = request.headers['idempotency-key'];
    const key = typeof header === 'string' ? header : null;
    this.calls.push({ method, path: url.pathname, key, at: Date.now() });
    const fault = this.faultOf(`${method} ${url.pathname}`);
    if (fault === 'silence') return;
    const answer =
      refusedBefore(fault) ??
      this.tooFast(method, url.pathname) ??
      (this.secretKeys.has(request.headers.authorization?.replace('Bearer ', '') ?? '')
        ? this.once({ method, url, body, key, fault })
        : refusal(401, { type: 'invalid_request_error', message: 'Invalid API Key provided' }));
    if (fault === 'drop-after') {
      response.destroy();
      return;
    }
    response.writeHead(answer.status, {
      'content-type': 'application/json',
      'request-id': `req_${this.calls.length}`,
      ...answer.headers,
    });
    response.end(JSON.stringify(answer.body));
  }

  private faultOf(call: string): Fault | null {
    const index = this.faults.findIndex(({ matches }) => matches(call));
    if (index < 0) return this.chaos(call);
    return this.faults.splice(index, 1)[0]?.fault ?? null;
  }

  /** A bucket for the account and one for each endpoint, each as large as a second of its rate. */
  private tooFast(method: string, path: string): Answer | null {
    if (!this.limit) return null;
    const endpoint = `${method} ${path.replaceAll(/\/[a-z]+_\w+/g, '/:id')}`;
    const wanted = [
      this.bucket('', this.limit.account),
      this.bucket(endpoint, this.limit.endpoint),
    ];
    if (wanted.some(({ tokens }) => tokens < 1)) {
      this.tooManyCalls += 1;
      return tooMany('rate_limit');
    }
    for (const bucket of wanted) bucket.tokens -= 1;
    return null;
  }

  private bucket(name: string, perSecond: number): { tokens: number; at: number } {
    const at = performance.now();
    const bucket = this.buckets.get(name) ?? { tokens: perSecond, at };
    bucket.tokens = Math.min(perSecond, bucket.tokens + ((at - bucket.at) * perSecond) / 1_000);
    bucket.at = at;
    this.buckets.set(name, bucket);
    return bucket;
  }

  /** The same key again is answered the same; with another content it is refused. Refusals of the content are not kept. */
  private once(asked: {
    method: string;
    url: URL;
    body: string;
    key: string | null;
    fault: Fault | null;
  }): Answer {
    const { method, url, body, key, fault } = asked;
    const fresh = (): Answer => {
      if (fault === 'error-before') return serverError();
      const answer = this.answer(method, url, body);
      return fault === 'error-after' && answer.status < 300 ? serverError() : answer;
    };
    if (method === 'GET' || key === null) return fresh();
    const hash = createHash('sha256').update(`${method} ${url.pathname} ${body}`).digest('hex');
    const before = this.kept.get(key);
    if (before && this.now() - before.at < KEY_LIFE_SECONDS) {
      if (before.hash !== hash) {
        const message =
          'Keys for idempotent requests can only be used with the same parameters they were first used with.';
        return refusal(400, { type: 'idempotency_error', message });
      }
      const again = before.answer ?? conflict();
      return { ...again, headers: { 'idempotent-replayed': 'true' } };
    }
    const answer = fresh();
    if (answer.status !== 400 && answer.status !== 404)
      this.kept.set(key, { hash, at: this.now(), answer });
    return answer;
  }

  private answer(method: string, url: URL, body: string): Answer {
    try {
      const found = this.route(method, url, parseForm(body));
      if (found) return { status: 200, body: structuredClone(found) };
      const message = `Unrecognized request URL (${method}: ${url.pathname}).`;
      return refusal(404, { type: 'invalid_request_error', message });
    } catch (error) {
      if (error instanceof StripeRefusal) return refusal(error.status, error.error);
      throw error;
    }
  }

  private route(method: string, url: URL, form: Form): object | null {
    const { books } = this;
    const [, , ...parts] = url.pathname.split('/');
    const path = parts.join('/');
    const [noun = '', id = '', verb = ''] = parts;
    if (method === 'GET') return this.read(path, url);
    if (method === 'DELETE') {
      if (noun === 'invoices') return books.deleteInvoice(id);
      return noun === 'customers' ? books.deleteCustomer(id) : null;
    }
    switch (path) {
      case 'customers':
        return books.customer(form);
      case 'checkout/sessions':
        return books.checkoutSession(form);
      case 'billing_portal/sessions':
        return books.portalSession(form);
      case 'invoices':
        return books.invoice(form);
      case 'credit_notes':
        return books.creditNote(form);
      case 'payment_records/report_payment':
        return books.paymentRecord(form);
    }
    if (noun === 'customers' && verb === '') return books.updateCustomer(id, form);
    if (noun !== 'invoices') return null;
    switch (verb) {
      case 'add_lines':
        return books.addLines(id, form);
      case 'finalize':
        return books.finalize(id);
      case 'pay':
        return books.pay(id, form);
      case 'send':
        return books.send(id);
      case 'void':
        return books.voidInvoice(id);
      case 'mark_uncollectible':
        return books.markUncollectible(id);
      case 'attach_payment':
        return books.attachPayment(id, form);
      default:
        return null;
    }
  }

  private read(path: string, url: URL): object | null {
    const { books } = this;
    if (path === 'account') return { id: STRIPE_ACCOUNT, object: 'account' };
    if (path === 'customers/search') {
      const wanted = /metadata\['(\w+)'\]:'([^']+)'/.exec(url.searchParams.get('query') ?? '');
      const found = books.all(
        'customer',
        (one) => one['metadata'][wanted?.[1] ?? ''] === wanted?.[2],
      );
      return { ...list(found, url.pathname), object: 'search_result' };
    }
    const object = OBJECTS[path.split('/').slice(0, -1).join('/') || path] ?? OBJECTS[path];
    if (!object) return null;
    if (OBJECTS[path]) return this.page(object, url);
    const one = books.get(object, path.split('/').at(-1) ?? '');
    return one['deleted'] === true ? { id: one.id, object, deleted: true } : one;
  }

  private page(object: string, url: URL): object {
    const filters = [...url.searchParams].filter(([name]) => FILTERS.has(name));
    const fits = (one: StripeObject) => filters.every(([name, value]) => one[name] === value);
    const since = Number(url.searchParams.get('created[gte]') ?? 0);
    const all = this.books.all(object, (one) => fits(one) && one['created'] >= since);
    const after = url.searchParams.get('starting_after');
    const from = after === null ? 0 : all.findIndex(({ id }) => id === after) + 1;
    const limit = Number(url.searchParams.get('limit') ?? PAGE);
    const expands = url.search.includes('data.source');
    const shown = all
      .slice(from, from + limit)
      .map((one) =>
        expands ? { ...one, source: this.books.objects.get(one['source']) ?? null } : one,
      );
    return list(shown, url.pathname, all.length > from + limit);
  }
}

const FILTERS = new Set(['customer', 'invoice', 'status', 'charge', 'payout']);

const OBJECTS: Readonly<Record<string, string>> = {
  customers: 'customer',
  invoices: 'invoice',
  invoice_payments: 'invoice_payment',
  credit_notes: 'credit_note',
  charges: 'charge',
  refunds: 'refund',
  disputes: 'dispute',
  payouts: 'payout',
  balance_transactions: 'balance_transaction',
  payment_intents: 'payment_intent',
  setup_intents: 'setup_intent',
  'checkout/sessions': 'checkout.session',
};

function refusal(status: number, error: object, headers = {}): Answer {
  return { status, body: { error }, headers };
}

function refusedBefore(fault: Fault | null): Answer | null {
  if (fault === 'rate-limit') return tooMany('rate_limit');
  if (fault === 'lock-timeout') return tooMany('lock_timeout');
  if (fault === 'key-in-use') return conflict();
  return fault === 'proxy' ? { status: 502, body: { message: 'Bad gateway' } } : null;
}

function tooMany(code: string): Answer {
  const message = 'Request rate limit exceeded, or another request holds the object.';
  return refusal(429, { type: 'invalid_request_error', code, message });
}

const serverError = () =>
  refusal(500, { type: 'api_error', message: 'An unknown error occurred.' });

const conflict = () =>
  refusal(409, { type: 'idempotency_error', code: 'idempotency_key_in_use', message: 'In use.' });
