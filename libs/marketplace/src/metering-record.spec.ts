import { describe, expect, it } from 'vitest';
import { identityOf, recordBody } from './metering-record.js';

const hour = new Date('2026-11-10T09:00:00Z');
const base = { dimension: 'calls', hour, quantity: 5, allocations: [] };

describe('recordBody', () => {
  it('names a buyer in one form only', () => {
    const old = recordBody({ ...base, buyer: { customerIdentifier: 'X01' } });
    expect(old).toEqual({
      Timestamp: 1_794_301_200,
      CustomerIdentifier: 'X01',
      Dimension: 'calls',
      Quantity: 5,
    });
    const licensed = { customerAwsAccountId: '123456789012', licenseArn: 'arn:aws:l-1' };
    expect(recordBody({ ...base, buyer: licensed })).toEqual({
      Timestamp: 1_794_301_200,
      CustomerAWSAccountId: '123456789012',
      LicenseArn: 'arn:aws:l-1',
      Dimension: 'calls',
      Quantity: 5,
    });
  });

  it('refuses to make what AWS would refuse', () => {
    const buyer = { customerIdentifier: 'X01' };
    const half = new Date(hour.getTime() + 1_800_000);
    expect(() => recordBody({ ...base, buyer, quantity: 1.5 })).toThrow();
    expect(() => recordBody({ ...base, buyer, quantity: -1 })).toThrow();
    expect(() => recordBody({ ...base, buyer, quantity: 2_147_483_648 })).toThrow();
    expect(() => recordBody({ ...base, buyer, hour: half })).toThrow('whole hour');
    const allocations = [{ quantity: 4, tags: [{ key: 'stage', value: 'prod' }] }];
    expect(() => recordBody({ ...base, buyer, allocations })).toThrow('add up');
  });

  it('says of the same sealed hour the same, to the byte', () => {
    const allocations = [{ quantity: 5, tags: [{ key: 'stage', value: 'prod' }] }];
    const metered = { ...base, allocations, buyer: { customerIdentifier: 'X01' } };
    expect(JSON.stringify(recordBody(metered))).toBe(JSON.stringify(recordBody(metered)));
    expect(identityOf(recordBody(metered))).toBe(
      identityOf({ ...recordBody(metered), Timestamp: 1_794_301_200.123 }),
    );
  });
});
