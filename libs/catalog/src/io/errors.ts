import { DomainError } from '@core/kernel';

const NAMED_MAX = 10;

/** The api cannot go: usage plans offer its stages. */
export class ApiInUse extends DomainError {
  readonly code = 'api-in-use';
  readonly kind = 'conflict';
  readonly facts: { readonly usagePlanIds: readonly string[] };

  constructor(apiId: string, usagePlanIds: readonly string[]) {
    super(`The api "${apiId}" has stages in usage plans: ${usagePlanIds.join(', ')}.`);
    this.facts = { usagePlanIds };
  }
}

/** The stage cannot go: usage plans offer it. */
export class StageInUse extends DomainError {
  readonly code = 'stage-in-use';
  readonly kind = 'conflict';
  readonly facts: { readonly usagePlanIds: readonly string[] };

  constructor(stage: string, usagePlanIds: readonly string[]) {
    super(`The stage "${stage}" is in usage plans: ${usagePlanIds.join(', ')}.`);
    this.facts = { usagePlanIds };
  }
}

/** The api has a stage of this name. */
export class StageExists extends DomainError {
  readonly code = 'stage-exists';
  readonly kind = 'conflict';
  readonly facts: { readonly apiId: string; readonly stage: string };

  constructor(apiId: string, stage: string) {
    super(`The api "${apiId}" already has a stage "${stage}".`);
    this.facts = { apiId, stage };
  }
}

/** A method that would vanish with the new document has a throttle of its own. */
export class MethodsInUse extends DomainError {
  readonly code = 'methods-in-use';
  readonly kind = 'conflict';
  /** `methodCount` counts all of them, `methods` holds the first ten. */
  readonly facts: { readonly methodCount: number; readonly methods: readonly string[] };

  constructor(methods: readonly string[]) {
    const named = methods.slice(0, NAMED_MAX);
    const rest = methods.length > named.length ? ` and ${methods.length - named.length} more` : '';
    super(`Methods that are not in the document have throttles: ${named.join(', ')}${rest}.`);
    this.facts = { methodCount: methods.length, methods: named };
  }
}

/** The usage plan cannot go, in Amazon's own sentence. */
export class UsagePlanHasStages extends DomainError {
  readonly code = 'usage-plan-has-stages';
  readonly kind = 'conflict';
  readonly facts: { readonly apiId: string; readonly stage: string };

  constructor(usagePlanId: string, { apiId, stage }: { apiId: string; stage: string }) {
    super(
      `Cannot delete Usage Plan ${usagePlanId} because there are API Stages associated with it, including ${apiId}:${stage}`,
    );
    this.facts = { apiId, stage };
  }
}

/** The usage plan cannot go: customers subscribed to it, or did once. */
export class UsagePlanHasSubscriptions extends DomainError {
  readonly code = 'usage-plan-has-subscriptions';
  readonly kind = 'conflict';
  readonly facts: { readonly usagePlanId: string };

  constructor(usagePlanId: string) {
    super(`The usage plan "${usagePlanId}" has subscriptions, and invoices name it.`);
    this.facts = { usagePlanId };
  }
}

/** The usage plan counts nothing, so a key cannot have more or less of it. */
export class UsagePlanHasNoQuota extends DomainError {
  readonly code = 'usage-plan-has-no-quota';
  readonly kind = 'conflict';
  readonly facts: { readonly usagePlanId: string };

  constructor(usagePlanId: string) {
    super(`The usage plan "${usagePlanId}" has no quota.`);
    this.facts = { usagePlanId };
  }
}

/** Two usage plans would let the key call the same stage; which limits held would be anyone's guess. */
export class KeyAlreadyOnStage extends DomainError {
  readonly code = 'key-already-on-stage';
  readonly kind = 'conflict';
  readonly facts: {
    readonly keyId: string;
    readonly usagePlanId: string;
    readonly apiId: string;
    readonly stage: string;
  };

  constructor(facts: KeyAlreadyOnStage['facts']) {
    super(
      `The api key "${facts.keyId}" is on the stage ${facts.apiId}:${facts.stage} already, by the usage plan "${facts.usagePlanId}".`,
    );
    this.facts = facts;
  }
}

/** The key is in this very plan. */
export class KeyAlreadyInPlan extends DomainError {
  readonly code = 'key-already-in-plan';
  readonly kind = 'conflict';
  readonly facts: { readonly keyId: string; readonly usagePlanId: string };

  constructor(facts: KeyAlreadyInPlan['facts']) {
    super(`The api key "${facts.keyId}" is in the usage plan "${facts.usagePlanId}" already.`);
    this.facts = facts;
  }
}

/** A key of this value is there, or was: a value is never given out twice. In Amazon's own words. */
export class ApiKeyExists extends DomainError {
  readonly code = 'api-key-exists';
  readonly kind = 'conflict';
  readonly facts = {};

  constructor() {
    super('API Key already exists');
  }
}
