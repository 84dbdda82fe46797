import { Ajv } from 'ajv';
import { parseInstant, InvalidRequest, type FieldFault } from '@io/platform';
import type { BucketRef, LeaseQuestion } from '@io/limits';
import { schemaFaults } from '../http/schema-faults.js';

const TEXT = { type: 'string', minLength: 1, maxLength: 256 } as const;
/** A verb and a resource path, or `*`. */
const METHOD = { type: 'string', minLength: 1, maxLength: 1_700 } as const;
const UNITS = { type: 'integer', minimum: 0, maximum: 1_000_000_000 } as const;

const fields = <T extends Record<string, unknown>>(
  properties: T,
  optional: readonly (keyof T)[] = [],
) => ({
  type: 'object',
  additionalProperties: false,
  required: Object.keys(properties).filter((name) => !optional.includes(name)),
  properties,
});

const KEY_IN_PLAN = { keyId: TEXT, usagePlanId: TEXT };
const STAGE = { apiId: TEXT, stage: TEXT };

/** The level decides which fields there are; so that a fault names its field, the form is chosen by it. */
const BUCKET = {
  type: 'object',
  required: ['level'],
  discriminator: { propertyName: 'level' },
  oneOf: [
    fields({ level: { const: 'usage-plan' }, ...KEY_IN_PLAN }),
    fields({ level: { const: 'method' }, ...KEY_IN_PLAN, ...STAGE, method: METHOD }),
    fields({ level: { const: 'stage-method' }, ...STAGE, method: METHOD }),
    fields({ level: { const: 'account' } }),
  ],
};

const list = (maxItems: number, items: object) => ({ type: 'array', maxItems, items });

/** One question; also its documentation. */
export const LEASE_SCHEMA = fields(
  {
    holder: {
      type: 'string',
      pattern: '^[A-Za-z0-9_-]{16,64}$',
      description: 'Names the process that asks; new at each start.',
    },
    seen: {
      type: 'string',
      maxLength: 64,
      description: 'The last event that it heard: no policy older than that is answered.',
    },
    keys: list(1_000, fields({ apiKey: { type: 'string', maxLength: 1_024 }, ...STAGE })),
    stages: list(100, fields({ usagePlanId: TEXT, ...STAGE })),
    rates: list(1_000, fields({ bucket: BUCKET, asked: UNITS, least: UNITS, wanted: UNITS })),
    quotas: list(
      1_000,
      fields({ ...KEY_IN_PLAN, asked: UNITS, wanted: UNITS, spent: UNITS }, ['spent']),
    ),
    returns: fields(
      {
        rates: list(
          1_000,
          fields({ bucket: BUCKET, units: UNITS, heldMs: { type: 'number', minimum: 0 } }),
        ),
        quotas: list(
          1_000,
          fields(
            {
              ...KEY_IN_PLAN,
              periodFrom: { type: 'string', maxLength: 64 },
              units: UNITS,
              spent: UNITS,
            },
            ['spent'],
          ),
        ),
      },
      ['rates', 'quotas'],
    ),
  },
  ['seen', 'keys', 'stages', 'rates', 'quotas', 'returns'],
);

interface QuotaWish {
  readonly keyId: string;
  readonly usagePlanId: string;
  readonly spent?: number;
}

/** A question as it comes in. */
interface LeaseBody {
  readonly holder: string;
  readonly seen?: string;
  readonly keys?: LeaseQuestion['keys'];
  readonly stages?: LeaseQuestion['stages'];
  readonly rates?: LeaseQuestion['rates'];
  readonly quotas?: readonly (QuotaWish & { readonly asked: number; readonly wanted: number })[];
  readonly returns?: {
    readonly rates?: readonly {
      readonly bucket: BucketRef;
      readonly units: number;
      readonly heldMs: number;
    }[];
    readonly quotas?: readonly (QuotaWish & {
      readonly periodFrom: string;
      readonly units: number;
    })[];
  };
}

const ajv = new Ajv({ allErrors: false, strict: true, strictRequired: false, discriminator: true });
const isLease = ajv.compile<LeaseBody>(LEASE_SCHEMA);

/** The question of a body, and the event that its holder has seen. Throws InvalidRequest with the field that is wrong. */
export function readLeaseQuestion(body: unknown): LeaseQuestion & { readonly seen: string | null } {
  if (!isLease(body)) throw new InvalidRequest(schemaFaults(isLease.errors));
  const faults: FieldFault[] = [];
  const { quotas = [], returns = {} } = body;
  // A counter is one row, which one statement changes once.
  findTwice(quotas, '/quotas', (wish) => `${wish.usagePlanId}/${wish.keyId}`, faults);
  const returned = (returns.quotas ?? []).map((back, index) => {
    const periodFrom = parseInstant(back.periodFrom);
    if (!periodFrom) {
      const pointer = `/returns/quotas/${index}/periodFrom`;
      faults.push({ pointer, detail: 'must be an instant such as 2026-11-22T00:00:00Z' });
    }
    return { ...back, spent: back.spent ?? 0, periodFrom: periodFrom ?? new Date(0) };
  });
  const name = (back: (typeof returned)[number]) =>
    `${back.usagePlanId}/${back.keyId}/${back.periodFrom.getTime()}`;
  findTwice(returned, '/returns/quotas', name, faults);
  if (faults.length > 0) throw new InvalidRequest(faults);
  return {
    holder: body.holder,
    seen: body.seen ?? null,
    keys: body.keys ?? [],
    stages: body.stages ?? [],
    rates: body.rates ?? [],
    quotas: quotas.map((wish) => ({ ...wish, spent: wish.spent ?? 0 })),
    returns: { rates: returns.rates ?? [], quotas: returned },
  };
}

function findTwice<T>(
  items: readonly T[],
  pointer: string,
  nameOf: (item: T) => string,
  faults: FieldFault[],
): void {
  const names = new Set<string>();
  for (const [index, item] of items.entries()) {
    const name = nameOf(item);
    if (names.has(name))
      faults.push({ pointer: `${pointer}/${index}`, detail: 'names a quota for the second time' });
    names.add(name);
  }
}
