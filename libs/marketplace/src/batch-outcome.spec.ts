import { describe, expect, it } from 'vitest';
import { hasCulprit, outcomesOf, type BatchAnswer, type SentRecord } from './batch-outcome.js';
import { recordBody } from './metering-record.js';

const HOUR = new Date('2026-11-10T09:00:00Z');
const sent = (id: string, mayBeTaken = false): SentRecord => ({
  id,
  mayBeTaken,
  body: recordBody({
    buyer: { customerIdentifier: id },
    dimension: 'calls',
    hour: HOUR,
    quantity: 7,
    allocations: [],
  }),
});
const result = ({ body: record }: SentRecord, status: string) => ({
  record,
  status,
  meteringRecordId: status === 'Success' ? 'rec-1' : null,
});
const answered = (
  results: readonly ReturnType<typeof result>[],
  unprocessed: readonly SentRecord[] = [],
): BatchAnswer => ({ kind: 'answered', results, unprocessed: unprocessed.map(({ body }) => body) });
const one = (record: SentRecord, answer: BatchAnswer) =>
  outcomesOf([record], answer).get(record.id);

describe('outcomesOf', () => {
  const fresh = sent('c1');
  const repeated = sent('c1', true);

  it.each([
    { status: 'Success', record: fresh, outcome: { kind: 'accepted', meteringRecordId: 'rec-1' } },
    {
      status: 'DuplicateRecord',
      record: repeated,
      outcome: { kind: 'accepted', meteringRecordId: null },
    },
    {
      status: 'DuplicateRecord',
      record: fresh,
      outcome: { kind: 'dead', reason: 'other-quantity' },
    },
    {
      status: 'CustomerNotSubscribed',
      record: fresh,
      outcome: { kind: 'dead', reason: 'not-subscribed' },
    },
    {
      status: 'Else',
      record: fresh,
      outcome: { kind: 'again', cause: 'Else', mayBeTaken: true },
    },
  ])('reads $status (sent before: $record.mayBeTaken)', ({ status, record, outcome }) => {
    expect(one(record, answered([result(record, status)]))).toEqual(outcome);
  });

  it('tells the results of a batch apart by their records, in any order', () => {
    const [a, b, c, d] = [sent('a'), sent('b'), sent('c'), sent('d')];
    const answer = answered([result(b, 'CustomerNotSubscribed'), result(a, 'Success')], [c]);
    const outcomes = outcomesOf([a, b, c, d], answer);
    expect([...outcomes.values()].map(({ kind }) => kind)).toEqual([
      'accepted',
      'dead',
      'again',
      'again',
    ]);
    expect(outcomes.get('c')).toMatchObject({ mayBeTaken: false });
    expect(outcomes.get('d')).toMatchObject({ cause: 'NotInAnswer', mayBeTaken: true });
  });

  it.each([
    ['TimestampOutOfBoundsException', 'expired'],
    ['InvalidUsageDimensionException', 'invalid-dimension'],
    ['InvalidTagException', 'invalid-tags'],
    ['InvalidUsageAllocationsException', 'invalid-tags'],
    ['InvalidCustomerIdentifierException', 'invalid-customer'],
    ['InvalidLicenseException', 'invalid-licence'],
    ['ValidationException', 'invalid-record'],
  ])('gives one record up for %s, and of several none', (error, reason) => {
    const answer: BatchAnswer = { kind: 'refused', error };
    expect(hasCulprit(answer)).toBe(true);
    expect(one(fresh, answer)).toEqual({ kind: 'dead', reason });
    const both = outcomesOf([fresh, sent('c2')], answer);
    expect([...both.values()].map(({ kind }) => kind)).toEqual(['again', 'again']);
  });

  it.each(['ThrottlingException', 'DisabledApiException', 'InvalidProductCodeException'])(
    'sends again after %s, of which nothing was taken',
    (error) => {
      const answer: BatchAnswer = { kind: 'refused', error };
      expect(hasCulprit(answer)).toBe(false);
      expect(one(fresh, answer)).toEqual({ kind: 'again', cause: error, mayBeTaken: false });
      expect(one(repeated, answer)).toMatchObject({ mayBeTaken: true });
    },
  );

  it('remembers after no answer that all of it may have been taken', () => {
    const answer: BatchAnswer = { kind: 'unknown', cause: 'ECONNRESET' };
    expect(one(fresh, answer)).toEqual({ kind: 'again', cause: 'ECONNRESET', mayBeTaken: true });
  });
});
