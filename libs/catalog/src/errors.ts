import { DomainError, type FieldFault } from '@core/kernel';

/** A fault of a document that was read from text, so that its place there is often known too. */
export interface DocumentFault extends FieldFault {
  /** Counted from 1. */
  readonly line?: number;
  /** Counted from 1. */
  readonly column?: number;
}

const FAULTS_MAX = 20;

/** The document is not an OpenAPI 3.0, OpenAPI 3.1 or Swagger 2.0 document that can be imported. */
export class InvalidApiDocument extends DomainError {
  readonly code = 'invalid-api-document';
  readonly kind = 'invalid';
  /** `faultCount` counts all faults, `errors` holds the first 20. */
  readonly facts: { readonly faultCount: number; readonly errors: readonly DocumentFault[] };

  constructor(faults: readonly DocumentFault[], faultCount = faults.length) {
    super(`The API document cannot be imported: ${summary(faults, faultCount)}.`);
    this.facts = { faultCount, errors: faults.slice(0, FAULTS_MAX) };
  }
}

function summary(faults: readonly DocumentFault[], count: number): string {
  const [first] = faults;
  if (!first) return 'it has a fault';
  const line = first.line === undefined ? '' : ` (line ${first.line})`;
  const place = `${first.pointer || 'the document'}${line} ${first.detail}`;
  return count === 1 ? place : `${place}, and ${count - 1} more`;
}
