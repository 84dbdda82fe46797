/** What is left of a limit and when it is whole again. */
export interface LimitState {
  readonly limit: number;
  readonly remaining: number;
  readonly resetsAt: string;
}

interface DecisionFacts {
  readonly decisionId: string;
  readonly keyId: string | undefined;
  readonly customerId: string | undefined;
  readonly usagePlanId: string | undefined;
  /** The template of the api's document that matched, `/{proxy+}` when none did. */
  readonly resourcePath: string;
  readonly rate: LimitState | undefined;
  readonly quota: LimitState | undefined;
}

/** The service's answer to one call. */
export type Decision =
  | (DecisionFacts & { readonly allowed: true })
  | (DecisionFacts & {
      readonly allowed: false;
      readonly reason: string;
      readonly status: number;
      readonly message: string;
      readonly errorType: string;
      readonly retryAfterMs: number | undefined;
    });

/** The resource path of a call that no method of the api matches. */
export const UNMATCHED_PATH = '/{proxy+}';

/** The answer is not a decision: to the plugin the same as no answer. */
export class NotADecision extends Error {
  override readonly name = 'NotADecision';
}

/** Reads a decision. Fields it does not know are left alone, so that the service may learn to say more. */
export function parseDecision(text: string): Decision {
  const fields: unknown = JSON.parse(text);
  if (!isObject(fields)) throw new NotADecision('the answer is no object');
  const facts: DecisionFacts = {
    decisionId: optionalText(fields, 'decisionId') ?? '',
    keyId: optionalText(fields, 'keyId'),
    customerId: optionalText(fields, 'customerId'),
    usagePlanId: optionalText(fields, 'usagePlanId'),
    resourcePath: optionalText(fields, 'resourcePath') ?? UNMATCHED_PATH,
    rate: limitState(fields['rate']),
    quota: limitState(fields['quota']),
  };
  if (fields['allowed'] === true) return { ...facts, allowed: true };
  if (fields['allowed'] !== false) throw new NotADecision('the answer has no "allowed"');
  const status = optionalNumber(fields, 'status') ?? 403;
  if (status < 400 || status > 599) throw new NotADecision(`a refusal with status ${status}`);
  return {
    ...facts,
    allowed: false,
    reason: optionalText(fields, 'reason') ?? 'unavailable',
    status,
    message: optionalText(fields, 'message') ?? 'Forbidden',
    errorType: optionalText(fields, 'errorType') ?? 'ForbiddenException',
    retryAfterMs: optionalNumber(fields, 'retryAfterMs'),
  };
}

type Fields = Readonly<Record<string, unknown>>;

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null;
}

function optionalText(fields: Fields, name: string): string | undefined {
  const value = fields[name];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function optionalNumber(fields: Fields, name: string): number | undefined {
  const value = fields[name];
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}

function limitState(fields: unknown): LimitState | undefined {
  if (!isObject(fields)) return undefined;
  const limit = optionalNumber(fields, 'limit');
  const remaining = optionalNumber(fields, 'remaining');
  const resetsAt = optionalText(fields, 'resetsAt');
  if (limit === undefined || remaining === undefined || resetsAt === undefined) return undefined;
  return { limit, remaining, resetsAt };
}
