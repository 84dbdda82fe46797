/** What sort of "no" a refusal is. Only the problem filter knows which HTTP status each becomes. */
export type RefusalKind =
  | 'invalid'
  | 'unauthenticated'
  | 'forbidden'
  | 'not-found'
  | 'conflict'
  | 'mismatch'
  | 'unprocessable'
  | 'too-large'
  | 'exhausted'
  | 'unavailable';

/**
 * A refusal that the caller can understand and act on; its message and facts are shown to them.
 * Anything else that is thrown is a bug and reaches them as a bare 500.
 */
export abstract class DomainError extends Error {
  /** Public and stable: the last segment of the problem's `type` URI. */
  abstract readonly code: string;
  abstract readonly kind: RefusalKind;
  /** Extension members of the problem body, for programs. `errors: [{ pointer, detail }]` names fields. */
  abstract readonly facts: Readonly<Record<string, unknown>>;
}
