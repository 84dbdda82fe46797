import { DomainError, type FieldFault } from '@core/kernel';

const FAULTS_MAX = 20;

/** A list of addresses holds something that is neither an address nor a CIDR block. */
export class InvalidIpPolicy extends DomainError {
  readonly code = 'invalid-ip-policy';
  readonly kind = 'invalid';
  readonly facts: { readonly errors: readonly FieldFault[] };

  constructor(faults: readonly FieldFault[]) {
    const [first] = faults;
    const more = faults.length > 1 ? `, and ${faults.length - 1} more` : '';
    super(`The IP policy cannot be used: ${first?.pointer} ${first?.detail}${more}.`);
    this.facts = { errors: faults.slice(0, FAULTS_MAX) };
  }
}
