import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import {
  MeterInUse,
  meterDefinitionJson,
  MeterNameTaken,
  readMeterDefinition,
  type CustomMeter,
  type MeterDefinition,
} from '@core/metering';
import {
  appendAudit,
  checkVersion,
  Database,
  isUniqueViolation,
  nextVersion,
  NotFound,
  type IfMatch,
} from '@io/platform';

/** A meter of an account, as it is kept. */
export interface StoredMeter extends CustomMeter {
  readonly description: string | null;
  /** An inactive one counts no event that comes in. */
  readonly isActive: boolean;
  /** When it was first given an event to count; from then on its definition never changes. */
  readonly usedAt: Date | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** What may be changed of a meter; the definition only until it is used. */
export interface MeterChange {
  readonly description?: string | null;
  readonly isActive?: boolean;
  readonly definition?: MeterDefinition;
}

/** All meters of an account at one moment. */
export interface AccountMeters {
  /** Active or not, by the event type that they count. */
  readonly byType: ReadonlyMap<string, readonly CountingMeter[]>;
  /** Both are others once any of the meters counts something else. */
  readonly count: number;
  readonly revisions: bigint;
}

/** A meter, as far as counting needs it. */
export type CountingMeter = Pick<StoredMeter, 'isActive' | 'usedAt'> &
  CustomMeter & { readonly revision: bigint };

interface MeterRow {
  name: string;
  description: string | null;
  definition: unknown;
  isActive: boolean;
  usedAt: Date | null;
  createdAt: Date;
  updatedAt: Date;
  revision: bigint;
}

const ACCOUNTS_MAX = 10_000;

/** Meters of accounts. */
@Injectable()
export class CustomMetersRepository {
  private readonly known = new Map<string, AccountMeters>();

  constructor(private readonly db: Database) {}

  /** Throws `MeterNameTaken`. */
  async create(
    scope: Scope,
    { name, description, ...definition }: CustomMeter & { readonly description: string | null },
  ): Promise<StoredMeter> {
    const { accountId } = scope;
    try {
      return await this.db.$transaction(async (tx) => {
        const row = await tx.meter.create({
          data: { accountId, name, description, definition: meterDefinitionJson(definition) },
        });
        const after = auditedMeter(stored(row));
        await appendAudit(tx, { ...scope, action: 'create-meter', subject: name, after });
        return stored(row);
      });
    } catch (error) {
      if (isUniqueViolation(error)) throw new MeterNameTaken(name);
      throw error;
    }
  }

  async find({ accountId }: Scope, name: string): Promise<StoredMeter | null> {
    const row = await this.db.meter.findUnique({ where: { accountId_name: { accountId, name } } });
    return row && stored(row);
  }

  async list({ accountId }: Scope): Promise<StoredMeter[]> {
    const rows = await this.db.meter.findMany({ where: { accountId }, orderBy: { name: 'asc' } });
    return rows.map(stored);
  }

  /** Throws `NotFound`, `VersionMismatch`, and `MeterInUse` when the definition of a used meter would change. */
  async update(
    scope: Scope,
    name: string,
    change: MeterChange,
    { ifMatch, now }: { readonly ifMatch: IfMatch; readonly now: Date },
  ): Promise<StoredMeter> {
    const where = { accountId_name: { accountId: scope.accountId, name } };
    return this.db.$transaction(async (tx) => {
      await tx.$queryRaw`
        SELECT FROM meter WHERE account_id = ${scope.accountId} AND name = ${name} FOR UPDATE`;
      const row = await tx.meter.findUnique({ where });
      if (!row) throw new NotFound('meter', name);
      const before = stored(row);
      checkVersion(ifMatch, before);
      const { definition, ...rest } = change;
      if (definition && before.usedAt) throw new MeterInUse(name);
      const data = {
        ...rest,
        ...(definition ? { definition: meterDefinitionJson(definition) } : {}),
        updatedAt: nextVersion(before, now),
      };
      const after = stored(await tx.meter.update({ where, data }));
      await appendAudit(tx, {
        ...scope,
        action: 'update-meter',
        subject: name,
        before: auditedMeter(before),
        after: auditedMeter(after),
      });
      return after;
    });
  }

  /** Throws `NotFound` and `MeterInUse`. */
  async delete(scope: Scope, name: string): Promise<void> {
    const where = { accountId_name: { accountId: scope.accountId, name } };
    await this.db.$transaction(async (tx) => {
      await tx.$queryRaw`
        SELECT FROM meter WHERE account_id = ${scope.accountId} AND name = ${name} FOR UPDATE`;
      const row = await tx.meter.findUnique({ where });
      if (!row) throw new NotFound('meter', name);
      if (row.usedAt) throw new MeterInUse(name);
      await tx.meter.delete({ where });
      const before = auditedMeter(stored(row));
      await appendAudit(tx, { ...scope, action: 'delete-meter', subject: name, before });
    });
  }

  /**
   * The meters of an account as this process knows them, which may be those of a while ago: whoever counts by them
   * proves in the same statement that they still are (`count`, `revisions`).
   */
  async ofAccount(accountId: string): Promise<AccountMeters> {
    return this.known.get(accountId) ?? this.reload(accountId);
  }

  /** Lets the next one who asks read them anew, since some that were unused have counted. */
  forget(accountId: string): void {
    this.known.delete(accountId);
  }

  /** The same, as the database knows them now. */
  async reload(accountId: string): Promise<AccountMeters> {
    const rows: MeterRow[] = await this.db.meter.findMany({ where: { accountId } });
    const byType = new Map<string, CountingMeter[]>();
    let revisions = 0n;
    for (const row of rows) {
      const meter = { ...stored(row), revision: row.revision };
      byType.set(meter.eventType, [...(byType.get(meter.eventType) ?? []), meter]);
      revisions += row.revision;
    }
    const meters = { byType, count: rows.length, revisions };
    if (this.known.size >= ACCOUNTS_MAX) this.known.clear();
    this.known.set(accountId, meters);
    return meters;
  }
}

function stored({ name, definition, ...row }: MeterRow): StoredMeter {
  const { description, isActive, usedAt, createdAt, updatedAt } = row;
  const kept = { name, description, isActive, usedAt, createdAt, updatedAt };
  return { ...kept, ...readMeterDefinition(definition, []) };
}

const auditedMeter = (meter: StoredMeter) => ({
  name: meter.name,
  description: meter.description,
  isActive: meter.isActive,
  ...meterDefinitionJson(meter),
});
