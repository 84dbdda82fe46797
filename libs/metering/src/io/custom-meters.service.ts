import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import type { FieldFault } from '@core/kernel';
import { meterDefinitionJson, meterNameFault, METERS, readMeterDefinition } from '@core/metering';
import { InvalidRequest, NotFound, SystemClock, type IfMatch } from '@io/platform';
import { CustomMetersRepository, type StoredMeter } from './custom-meters.repository.js';

/** A meter as it was asked for; the definition is not read yet. */
export interface NewMeter {
  readonly name: string;
  readonly description?: string | null | undefined;
  readonly definition: Readonly<Record<string, unknown>>;
}

/** What shall change; members of the definition that are left out stay. */
export interface MeterRequest {
  readonly description?: string | null | undefined;
  readonly isActive?: boolean | undefined;
  readonly definition: Readonly<Record<string, unknown>>;
}

/** One of the meters that every account has, which gateways report. */
export interface BuiltInMeter {
  readonly name: string;
}

const METERS_MAX = 200;

/** What an account counts: its own meters, beside the built-in ones. */
@Injectable()
export class CustomMetersService {
  constructor(
    private readonly meters: CustomMetersRepository,
    private readonly clock: SystemClock,
  ) {}

  /** Throws `InvalidRequest` and `MeterNameTaken`. */
  async create(scope: Scope, { name, description, definition }: NewMeter): Promise<StoredMeter> {
    const faults: FieldFault[] = [];
    const nameFault = meterNameFault(name);
    if (nameFault !== null) faults.push({ pointer: '/name', detail: nameFault });
    const read = readMeterDefinition(definition, faults);
    if (faults.length > 0) throw new InvalidRequest(faults);
    if ((await this.meters.list(scope)).length >= METERS_MAX)
      throw new InvalidRequest([
        { pointer: '/name', detail: `would be one more than the ${METERS_MAX} of an account` },
      ]);
    return this.meters.create(scope, { ...read, name, description: description ?? null });
  }

  /** All meters: the built-in ones first, then the account's own by name. */
  async list(scope: Scope): Promise<(StoredMeter | BuiltInMeter)[]> {
    return [...METERS.map((name) => ({ name })), ...(await this.meters.list(scope))];
  }

  async get(scope: Scope, name: string): Promise<StoredMeter | BuiltInMeter> {
    if (METERS.some((meter) => meter === name)) return { name };
    const meter = await this.meters.find(scope, name);
    if (!meter) throw new NotFound('meter', name);
    return meter;
  }

  /** Throws `InvalidRequest`, `NotFound`, `VersionMismatch`, and `MeterInUse` when a used meter would count otherwise. */
  async update(
    scope: Scope,
    name: string,
    { description, isActive, definition }: MeterRequest,
    ifMatch: IfMatch,
  ): Promise<StoredMeter> {
    const before = await this.meters.find(scope, name);
    if (!before) throw new NotFound('meter', name);
    const changes = Object.keys(definition).length > 0;
    const faults: FieldFault[] = [];
    const read = changes
      ? readMeterDefinition({ ...meterDefinitionJson(before), ...definition }, faults)
      : null;
    if (faults.length > 0) throw new InvalidRequest(faults);
    return this.meters.update(
      scope,
      name,
      {
        ...(description === undefined ? {} : { description }),
        ...(isActive === undefined ? {} : { isActive }),
        ...(read === null ? {} : { definition: read }),
      },
      { ifMatch, now: this.clock.now() },
    );
  }

  /** Throws `NotFound` and `MeterInUse`. */
  delete(scope: Scope, name: string): Promise<void> {
    return this.meters.delete(scope, name);
  }
}
