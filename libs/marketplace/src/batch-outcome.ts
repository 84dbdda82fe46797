import { identityOf, type RecordBody } from './metering-record.js';

/** A record as it was sent. */
export interface SentRecord {
  readonly id: string;
  readonly body: RecordBody;
  /** An attempt before this one may have been taken without our hearing of it. */
  readonly mayBeTaken: boolean;
}

type Identity = Parameters<typeof identityOf>[0];

/** What came of a request. */
export type BatchAnswer =
  | {
      readonly kind: 'answered';
      readonly results: readonly {
        readonly record: Identity;
        readonly status: string;
        readonly meteringRecordId: string | null;
      }[];
      readonly unprocessed: readonly Identity[];
    }
  /** Refused as a whole, with the name of the error; nothing of it was taken. */
  | { readonly kind: 'refused'; readonly error: string }
  /** No answer, or one that says nothing about what was taken. */
  | { readonly kind: 'unknown'; readonly cause: string };

/** Why a record is given up. */
export type DeadReason =
  | 'expired'
  | 'after-end'
  | 'not-subscribed'
  | 'other-quantity'
  | 'invalid-dimension'
  | 'invalid-tags'
  | 'invalid-customer'
  | 'invalid-licence'
  | 'invalid-record';

/** What became of one record. */
export type RecordOutcome =
  | { readonly kind: 'accepted'; readonly meteringRecordId: string | null }
  | { readonly kind: 'dead'; readonly reason: DeadReason }
  /** To be sent again, the same. `mayBeTaken`: AWS has it, as far as we know. */
  | { readonly kind: 'again'; readonly cause: string; readonly mayBeTaken: boolean };

/** Refusals of a whole batch for one record in it, and what is wrong with that one. */
const CULPRITS: Readonly<Record<string, DeadReason>> = {
  TimestampOutOfBoundsException: 'expired',
  InvalidUsageDimensionException: 'invalid-dimension',
  InvalidTagException: 'invalid-tags',
  InvalidUsageAllocationsException: 'invalid-tags',
  InvalidCustomerIdentifierException: 'invalid-customer',
  InvalidLicenseException: 'invalid-licence',
  ValidationException: 'invalid-record',
};

/** Whether a refusal is of one record in the batch, which sending the halves finds. */
export const hasCulprit = (answer: BatchAnswer): boolean =>
  answer.kind === 'refused' && answer.error in CULPRITS;

/**
 * What became of each record of a batch, by its id. A record that the answer does not speak of is sent again. A refusal
 * of several for one of them says nothing of any: the batch is to be halved (`hasCulprit`), and until then all wait.
 */
export function outcomesOf(
  sent: readonly SentRecord[],
  answer: BatchAnswer,
): ReadonlyMap<string, RecordOutcome> {
  const again = ({ mayBeTaken }: SentRecord, cause: string): RecordOutcome => ({
    kind: 'again',
    cause,
    mayBeTaken,
  });
  const unknown = (cause: string): RecordOutcome => ({ kind: 'again', cause, mayBeTaken: true });
  if (answer.kind === 'unknown') return new Map(sent.map(({ id }) => [id, unknown(answer.cause)]));
  if (answer.kind === 'refused') {
    const reason = CULPRITS[answer.error];
    const [only] = sent;
    if (reason === undefined || sent.length !== 1 || !only)
      return new Map(sent.map((record) => [record.id, again(record, answer.error)]));
    return new Map([[only.id, { kind: 'dead', reason }]]);
  }
  const results = new Map(answer.results.map((result) => [identityOf(result.record), result]));
  const unprocessed = new Set(answer.unprocessed.map(identityOf));
  return new Map(
    sent.map((record) => {
      const identity = identityOf(record.body);
      if (unprocessed.has(identity)) return [record.id, again(record, 'Unprocessed')];
      const result = results.get(identity);
      if (result === undefined) return [record.id, unknown('NotInAnswer')];
      return [record.id, outcomeOf(record, result)];
    }),
  );
}

function outcomeOf(
  { mayBeTaken }: SentRecord,
  { status, meteringRecordId }: { status: string; meteringRecordId: string | null },
): RecordOutcome {
  switch (status) {
    case 'Success':
      return { kind: 'accepted', meteringRecordId };
    case 'CustomerNotSubscribed':
      return { kind: 'dead', reason: 'not-subscribed' };
    case 'DuplicateRecord':
      // What we sent before was the same. When it cannot have come from us, another quantity of somebody else's stands.
      return mayBeTaken
        ? { kind: 'accepted', meteringRecordId }
        : { kind: 'dead', reason: 'other-quantity' };
    default:
      return { kind: 'again', cause: status, mayBeTaken: true };
  }
}
