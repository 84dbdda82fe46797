import { randomBytes } from 'node:crypto';
import { newApiKeyValue } from '@core/kernel';

/** A running service, and who may change its catalogue. */
export interface Service {
  readonly url: string;
  readonly operatorToken: string;
}

/** One API key that a case uses. */
export interface SubjectKey {
  readonly id: string;
  readonly customerId: string;
  readonly value: string;
}

type Throttle = { readonly rateLimit: number; readonly burstLimit: number };

/** What a case says about the plan of its key; the rest is unlimited. */
export interface PlanOptions {
  readonly throttle?: Throttle;
  readonly quota?: { readonly limit: number; readonly period: 'DAY' };
  /** Throttles by method: `{ '/pets/GET': … }`. */
  readonly methodThrottles?: Readonly<Record<string, Throttle>>;
  readonly ipPolicy?: { readonly allow?: string[]; readonly deny?: string[] };
  /** A plan of another stage than the gateway's. */
  readonly isElsewhere?: boolean;
}

/** Templates of the api under test, with their verbs. */
const TEMPLATES: Readonly<Record<string, readonly string[]>> = {
  '/': ['any'],
  '/pets': ['get', 'post'],
  '/pets/{petId}': ['any'],
  '/pets/{petId}/photos': ['get'],
  '/cheap': ['any'],
  '/expensive': ['any'],
  '/admin': ['any'],
  '/files/{proxy+}': ['any'],
  '/status/{code}': ['any'],
  '/verbs/{name}': ['any'],
  '/verbs/get': ['get'],
  '/verbs/post': ['post'],
  '/verbs/put': ['put'],
  '/verbs/patch': ['patch'],
  '/verbs/delete': ['delete'],
  '/verbs/options': ['options'],
  '/verbs/head': ['head'],
};

const UNLIMITED: Throttle = { rateLimit: 1e6, burstLimit: 1_000_000 };

/** The api that a gateway is tried with: made over the control plane, as its owner would. */
export class Subject {
  /** A key of an unlimited plan that no case changes. */
  good!: SubjectKey;
  private readonly run = randomBytes(4).toString('hex');

  private constructor(
    private readonly service: Service,
    readonly apiId: string,
    readonly stage: string,
  ) {}

  /** Takes the api that a gateway is configured for already, or makes one with a stage. */
  static async make(
    service: Service,
    known: { apiId?: string | undefined; stage?: string | undefined } = {},
  ): Promise<Subject> {
    const { stage = 'prod' } = known;
    const apiId =
      known.apiId ??
      String((await ask(service, 'POST', '/v1/apis', { name: 'Conformance' }))['id']);
    const subject = new Subject(service, apiId, stage);
    await ask(service, 'PUT', `/v1/apis/${apiId}/document`, subject.document());
    if (known.apiId === undefined) {
      await ask(service, 'POST', `/v1/apis/${apiId}/stages`, { name: stage });
    }
    const throttle = { rateLimit: 0.01, burstLimit: 2 };
    await ask(service, 'PATCH', `/v1/apis/${apiId}/stages/${stage}`, {
      methodThrottles: { [`${subject.stageThrottled}/GET`]: throttle },
    });
    const elsewhere = `${subject.run}-elsewhere`;
    await ask(service, 'POST', `/v1/apis/${apiId}/stages`, { name: elsewhere });
    subject.good = await subject.key();
    return subject;
  }

  /** A path whose method has a throttle of 2 calls on the stage, for all keys; of this run alone. */
  get stageThrottled(): string {
    return `/stage-throttled-${this.run}`;
  }

  /** A new key of a new customer in a new plan. */
  async key(options: PlanOptions = {}): Promise<SubjectKey> {
    const { throttle = UNLIMITED, quota = null, methodThrottles = {}, ipPolicy = null } = options;
    const stage = options.isElsewhere === true ? `${this.run}-elsewhere` : this.stage;
    const plan = await this.create('/v1/usage-plans', {
      name: `conformance ${this.run}`,
      apiStages: [{ apiId: this.apiId, stage, throttle: methodThrottles }],
      throttle,
      quota,
    });
    const customer = await this.create('/v1/customers', { name: `Conformance ${this.run}` });
    const customerId = String(customer['id']);
    const { id, value } = await this.create('/v1/api-keys', { customerId, ipPolicy });
    const key = { id: String(id), customerId, value: String(value) };
    await this.create(`/v1/usage-plans/${String(plan['id'])}/keys`, { keyId: key.id });
    return key;
  }

  /** Resolves when the service has acknowledged the change. */
  async setEnabled(key: SubjectKey, enabled: boolean): Promise<void> {
    await ask(this.service, 'PATCH', `/v1/api-keys/${key.id}`, { enabled });
  }

  async delete(key: SubjectKey): Promise<void> {
    await ask(this.service, 'DELETE', `/v1/api-keys/${key.id}`);
  }

  /** The value of a key that was never issued, with a checksum that holds. */
  unknownKey(): string {
    return newApiKeyValue('test', randomBytes);
  }

  /** The templates that a path can be routed to. */
  get templates(): readonly string[] {
    return [...Object.keys(TEMPLATES), this.stageThrottled];
  }

  private create(path: string, body: object): Promise<Record<string, unknown>> {
    return ask(this.service, 'POST', path, body);
  }

  private document(): object {
    const operation = { responses: { 200: { description: '' } } };
    const item = (verbs: readonly string[]) =>
      Object.fromEntries(
        verbs.map((verb) => [verb === 'any' ? 'x-amazon-apigateway-any-method' : verb, operation]),
      );
    const paths = Object.entries({ ...TEMPLATES, [this.stageThrottled]: ['any', 'get'] }).map(
      ([template, verbs]) => [template, item(verbs)] as const,
    );
    return {
      openapi: '3.0.3',
      info: { title: 'Conformance', version: this.run },
      paths: Object.fromEntries(paths),
    };
  }
}

async function ask(
  { url, operatorToken }: Service,
  method: string,
  path: string,
  body?: object,
): Promise<Record<string, unknown>> {
  const response = await fetch(new URL(path, url), {
    method,
    headers: {
      authorization: `Bearer ${operatorToken}`,
      ...(body !== undefined && { 'content-type': 'application/json' }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return text === '' ? {} : (JSON.parse(text) as Record<string, unknown>);
}
