import { Ajv } from 'ajv';
import { InvalidRequest } from '@io/platform';
import type { DecisionRequest } from '@io/limits';
import { schemaFaults } from '../http/schema-faults.js';

/** The most decisions of one request. */
export const BATCH_MAX = 1_000;

const TEXT = { type: 'string', minLength: 1, maxLength: 256 } as const;

/** One question; also its documentation. */
export const DECISION_SCHEMA = {
  type: 'object',
  additionalProperties: false,
  required: ['apiId', 'stage', 'method'],
  properties: {
    apiKey: {
      type: ['string', 'null'],
      maxLength: 1_024,
      description: "The client's key; left out or null when it sent none.",
    },
    apiId: TEXT,
    stage: TEXT,
    method: {
      type: 'string',
      pattern: '^[A-Za-z$][A-Za-z0-9_$.-]{0,63}$',
      description: 'The HTTP verb, or a WebSocket route key.',
    },
    path: {
      type: 'string',
      maxLength: 8_192,
      description: 'What the client asked for, as it came.',
    },
    resourcePath: {
      type: 'string',
      maxLength: 1_024,
      description: 'The template, where the gateway knows it.',
    },
    sourceIp: { type: ['string', 'null'], maxLength: 64 },
    cost: {
      type: 'integer',
      minimum: 0,
      maximum: 1_000_000,
      description: 'Calls that it counts as; 1 when left out.',
    },
    dryRun: { type: 'boolean', description: 'Answers the same and consumes nothing.' },
  },
} as const;

/** Up to 1,000 questions at once. */
export const BATCH_SCHEMA = {
  type: 'object',
  additionalProperties: false,
  required: ['decisions'],
  properties: {
    decisions: { type: 'array', minItems: 1, maxItems: BATCH_MAX, items: DECISION_SCHEMA },
  },
} as const;

/** A question as it comes in. */
interface DecisionBody {
  readonly apiKey?: string | null;
  readonly apiId: string;
  readonly stage: string;
  readonly method: string;
  readonly path?: string;
  readonly resourcePath?: string;
  readonly sourceIp?: string | null;
  readonly cost?: number;
  readonly dryRun?: boolean;
}

const ajv = new Ajv({ allErrors: false, strict: true, allowUnionTypes: true });
const isDecision = ajv.compile<DecisionBody>(DECISION_SCHEMA);
const isBatch = ajv.compile<{ decisions: DecisionBody[] }>(BATCH_SCHEMA);

/** What one body asks. */
export type Questions = { readonly one: DecisionRequest } | { readonly many: DecisionRequest[] };

/** A question of a valid body as it came. */
export function questionAt(body: unknown, at: number): object {
  const { decisions } = body as { decisions?: object[] };
  return decisions?.[at] ?? (body as object);
}

/** The questions of a body: one, or a list. Throws InvalidRequest with the field that is wrong. */
export function readDecisions(body: unknown, accountId: string): Questions {
  if (typeof body === 'object' && body !== null && 'decisions' in body) {
    if (!isBatch(body)) throw new InvalidRequest(schemaFaults(isBatch.errors));
    const wrong = body.decisions.findIndex((decision) => !namesPath(decision));
    if (wrong >= 0) throw pathMissing(`/decisions/${wrong}`);
    return { many: body.decisions.map((decision) => toRequest(decision, accountId)) };
  }
  if (!isDecision(body)) throw new InvalidRequest(schemaFaults(isDecision.errors));
  if (!namesPath(body)) throw pathMissing('');
  return { one: toRequest(body, accountId) };
}

const namesPath = ({ path, resourcePath }: DecisionBody) =>
  (path === undefined) !== (resourcePath === undefined);

const pathMissing = (pointer: string) =>
  new InvalidRequest([{ pointer: `${pointer}/path`, detail: 'send either path or resourcePath' }]);

function toRequest(body: DecisionBody, accountId: string): DecisionRequest {
  return {
    accountId,
    apiKey: body.apiKey ?? null,
    apiId: body.apiId,
    stage: body.stage,
    method: body.method,
    path: body.path,
    resourcePath: body.resourcePath,
    sourceIp: body.sourceIp ?? null,
    cost: body.cost ?? 1,
    dryRun: body.dryRun ?? false,
  };
}
