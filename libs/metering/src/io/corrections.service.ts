import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import { type FieldFault, type Period } from '@core/kernel';
import {
  askedFaults,
  CorrectionSettled,
  CorrectionUnusable,
  RECORD_LIMITS,
  RecordCorrected,
  usageChanges,
  type AskedCorrection,
  type Quantities,
  type UsageChange,
} from '@core/metering';
import { NotFound, Pages, type Page, type PageQuery } from '@io/platform';
import type { TargetState } from './correction-targets.js';
import {
  CorrectionsRepository,
  type AskedTarget,
  type CorrectionFilter,
  type CorrectionRow,
  type GatewayCorrection,
} from './corrections.repository.js';
import { RollUpWakeUp } from './roll-up-wake-up.js';

/** What is said of a usage record, and what became of that. */
export interface UsageCorrection extends Omit<CorrectionRow, 'quantities' | 'replaced'> {
  /** What counts instead; null: nothing. */
  readonly quantities: Quantities | null;
  /** What counted before; null until it is applied. */
  readonly replaced: Quantities | null;
}

/** Corrections as they were kept, none in a dry run, and what they change. */
export interface MadeCorrections {
  readonly corrections: readonly UsageCorrection[];
  readonly changes: readonly UsageChange[];
}

/** A person's correction of a record of a gateway. */
export type GatewayAsked = AskedCorrection & { readonly gatewayId: string };

/** Corrections and voids of usage records: what a person says of them, and what became of what gateways said. */
@Injectable()
export class CorrectionsService {
  constructor(
    private readonly repository: CorrectionsRepository,
    private readonly pages: Pages,
    private readonly rollUp: RollUpWakeUp,
  ) {}

  /** Newest first. */
  async list(
    scope: Scope,
    filter: CorrectionFilter,
    query: PageQuery,
  ): Promise<Page<UsageCorrection>> {
    const list = `${scope.accountId} corrections ${JSON.stringify(filter)}`;
    const request = this.pages.request(query, list);
    const rows = await this.repository.list(scope, filter, request);
    const { items, ...next } = this.pages.page(rows, request, list);
    return { items: items.map(toCorrection), ...next };
  }

  async get(scope: Scope, id: string): Promise<UsageCorrection> {
    const [row] = await this.repository.find(scope, [id]);
    if (!row) throw new NotFound('correction', id);
    return toCorrection(row);
  }

  /**
   * Corrects records that came, all or none; dry, it only says what that changes. The worker applies them within about a second. Throws
   * `CorrectionUnusable` for what is no record that counts, `RecordCorrected` for one that has a correction.
   */
  async make(
    scope: Scope,
    asked: readonly GatewayAsked[],
    { isDryRun, reason }: { readonly isDryRun: boolean; readonly reason: string },
  ): Promise<MadeCorrections> {
    throwIf(asked.flatMap((one, n) => faultsAt(n, askedFaults(one))));
    throwIf(twice(asked));
    const corrections = asked.map(toGatewayCorrection);
    const targets = await this.checkedTargets(scope, corrections);
    const changes = usageChanges(targets.map((target, n) => changeOf(target, corrections[n])));
    if (isDryRun) return { corrections: [], changes };
    const ids = await this.repository.create(scope, corrections, reason);
    if (ids === null) {
      await this.checkedTargets(scope, corrections);
      throw new Error('a target was corrected meanwhile, and is not any more');
    }
    this.rollUp.wake();
    const rows = await this.repository.find(scope, ids);
    return { corrections: rows.map(toCorrection), changes };
  }

  /** Gives up on a correction that waits. A second time changes nothing. Throws `CorrectionSettled`. */
  async drop(scope: Scope, id: string, note: string): Promise<UsageCorrection> {
    await this.repository.drop(scope, id, note);
    const after = await this.get(scope, id);
    if (after.state !== 'dropped') throw new CorrectionSettled(after.state);
    return after;
  }

  /** Waiting ones that could be of a period, the oldest first, at most `limit`: whose usage they correct is not known. */
  async touching(accountId: string, period: Period, limit: number): Promise<string[]> {
    const bounds = { ...RECORD_LIMITS, limit };
    return (await this.repository.touching(accountId, period, bounds)).map(({ id }) => id);
  }

  /** How many wait over all accounts, and for how long the oldest has: for whoever runs the service. */
  backlog(): Promise<{ waiting: number; oldestSeconds: number }> {
    return this.repository.backlog();
  }

  /** What the corrections are of, when all of it can be corrected. */
  private async checkedTargets(
    scope: Scope,
    corrections: readonly GatewayCorrection[],
  ): Promise<AskedTarget[]> {
    const targets = await this.repository.targets(scope, corrections);
    const corrected = targets.flatMap(({ correctedBy }) => correctedBy ?? []);
    if (corrected.length > 0) throw new RecordCorrected(corrected);
    throwIf(
      targets.flatMap(({ target }, n) => {
        const detail = WHY_NOT[target];
        return detail === null ? [] : faultsAt(n, [{ pointer: '', detail }]);
      }),
    );
    return targets;
  }
}

/** Why a target cannot be corrected by a person. */
const WHY_NOT: Readonly<Record<TargetState, string | null>> = {
  counted: null,
  stored: null,
  missing: 'is no record that a gateway of this account sent',
  waiting: 'is a correction that waits itself: drop it, and correct what it corrects',
  quarantined: 'is in the quarantine: replay another record in its place, or drop it',
  'no-such-record': 'is behind the last record of its batch',
  'target-dropped': 'was in the quarantine and was dropped: it counts nothing',
  'target-refused': 'is a correction that was not applied',
  'records-gone': 'is older than records are kept: what it counted is not known any more',
};

const faultsAt = (n: number, faults: readonly FieldFault[]): FieldFault[] =>
  faults.map(({ pointer, detail }) => ({ pointer: `/corrections/${n}${pointer}`, detail }));

function throwIf(faults: readonly FieldFault[]): void {
  if (faults.length > 0) throw new CorrectionUnusable(faults);
}

/** Those that name a record which another one names. */
function twice(asked: readonly GatewayAsked[]): FieldFault[] {
  const places = new Map<string, number>();
  return asked.flatMap(({ gatewayId, epoch, sequence, index }, n) => {
    const place = [gatewayId, epoch, sequence, index].join('\n');
    const first = places.get(place) ?? n;
    places.set(place, first);
    const detail = `names the record of /corrections/${first}`;
    return first === n ? [] : faultsAt(n, [{ pointer: '', detail }]);
  });
}

/** What was asked for, once `askedFaults` found nothing. */
const toGatewayCorrection = (one: GatewayAsked): GatewayCorrection => {
  const { gatewayId, epoch, sequence, index } = one;
  const quantities = one.void === true ? null : (one.quantities as Quantities);
  return { gatewayId, target: { epoch, sequence, index }, quantities };
};

function changeOf(
  { customerId, keyId, at, replaced }: AskedTarget,
  correction?: GatewayCorrection,
) {
  if (customerId === null || keyId === null || at === null || replaced === null || !correction)
    throw new Error('a record that counts is known in full');
  return { customerId, keyId, at, before: parsed(replaced), after: correction.quantities };
}

/** Quantities that were written by us. */
const parsed = (text: string) => JSON.parse(text) as Quantities;

const toCorrection = ({ quantities, replaced, ...row }: CorrectionRow): UsageCorrection => ({
  ...row,
  quantities: quantities === null ? null : parsed(quantities),
  replaced: replaced === null ? null : parsed(replaced),
});
