import { EXPORT_INTERVALS, EXPORT_RUN_STATUSES, type ExportRunStatus } from '@core/billing';
import {
  EXPORT_FORMATS,
  EXPORT_NAMES,
  type ExportFormat,
  type ExportSchedule,
  type ExportScheduleChange,
  type ExportTarget,
  type ExportTargetSettings,
  type NewExportSchedule,
} from '@io/billing';
import {
  Flag,
  Id,
  Instant,
  Int,
  InvalidRequest,
  ListOf,
  Nested,
  OneOf,
  PageQuery,
  Text,
  Zone,
  type FieldFault,
} from '@io/platform';

const KINDS = ['folder', 's3'] as const;
const DELAY = {
  min: 0,
  max: 2_160,
  description: 'How long after the end of a period it is written, such as until late usage is in.',
};
const WAITS =
  'Whether a period waits until each invoice up to its end is final: no subscription is left to close and no draft.';
const OF_FOLDER = 'Of kind folder: below the folder of the account in the one of the installation.';
const ofS3 = (what: string) => `Of kind s3: ${what}`;

class ExportTargetView {
  @OneOf(KINDS)
  kind: (typeof KINDS)[number];

  @Text({ optional: true, max: 200, description: OF_FOLDER, example: 'finance/monthly' })
  folder?: string;

  @Text({
    optional: true,
    max: 2_048,
    description: ofS3('the service, without the bucket, which stands in the path.'),
    example: 'https://s3.eu-central-1.amazonaws.com',
  })
  endpoint?: string;

  @Text({
    optional: true,
    max: 64,
    pattern: /^[a-z0-9-]+$/,
    patternSays: 'be a region, such as eu-central-1',
  })
  region?: string;

  @Text({
    optional: true,
    min: 3,
    max: 63,
    pattern: /^[a-z0-9][a-z0-9.-]+[a-z0-9]$/,
    patternSays: 'be the name of a bucket',
  })
  bucket?: string;

  @Text({
    optional: true,
    min: 0,
    max: 500,
    description: ofS3('what keys begin with; nothing when left out.'),
  })
  prefix?: string;

  @Text({
    optional: true,
    max: 128,
    pattern: /^[\w-]+$/,
    patternSays: 'be the id of an access key',
  })
  accessKeyId?: string;
}

class ExportTargetBody extends ExportTargetView {
  @Text({
    optional: true,
    max: 256,
    pattern: /^[\x21-\x7e]+$/,
    patternSays: 'be the secret of an access key',
    description: ofS3('sealed at rest and never shown again.'),
  })
  secretAccessKey?: string;
}

export class CreateExportScheduleBody {
  @OneOf(EXPORT_NAMES)
  export: string;

  @OneOf(EXPORT_FORMATS)
  format: ExportFormat;

  @OneOf(EXPORT_INTERVALS, {
    description: 'Of the calendar: whole local days, weeks from Monday, and so on.',
  })
  interval: (typeof EXPORT_INTERVALS)[number];

  @Zone({ optional: true, description: 'UTC when left out.' })
  timezone?: string;

  @Int({ optional: true, ...DELAY })
  delayHours?: number;

  @Flag({ optional: true, description: WAITS })
  waitsForInvoices?: boolean;

  @Instant({
    optional: true,
    description: 'Of the first period that is written; the one that goes on when left out.',
  })
  from?: string;

  @Nested(() => ExportTargetBody)
  target: ExportTargetBody;
}

export class UpdateExportScheduleBody {
  @Int({ optional: true, ...DELAY })
  delayHours?: number;

  @Flag({ optional: true, description: WAITS })
  waitsForInvoices?: boolean;

  @Flag({
    optional: true,
    description: 'What ended in between is written when it is enabled again.',
  })
  disabled?: boolean;

  @Nested(() => ExportTargetBody, { optional: true, description: 'As a whole, with its secret.' })
  target?: ExportTargetBody;
}

class ExportPeriodView {
  @Instant()
  from: Date;

  @Instant({ description: 'Not included.' })
  to: Date;
}

export class ExportScheduleView {
  @Id()
  id: string;

  @OneOf(EXPORT_NAMES)
  export: string;

  @OneOf(EXPORT_FORMATS)
  format: ExportFormat;

  @OneOf(EXPORT_INTERVALS)
  interval: (typeof EXPORT_INTERVALS)[number];

  @Zone()
  timezone: string;

  @Int(DELAY)
  delayHours: number;

  @Flag()
  waitsForInvoices: boolean;

  @Nested(() => ExportTargetView)
  target: ExportTargetView;

  @Nested(() => ExportPeriodView, { description: 'The next one that is written by itself.' })
  nextPeriod: ExportPeriodView;

  @Instant({ description: 'When it is.' })
  dueAt: Date;

  @Instant({ nullable: true })
  disabledAt: Date | null;

  @Instant()
  createdAt: Date;

  @Instant()
  updatedAt: Date;
}

export class ExportSchedulePage {
  @ListOf(() => ExportScheduleView, { max: 500 })
  items: ExportScheduleView[];

  @Text({ optional: true })
  next?: string;
}

export class ExportRunBody {
  @Instant({
    optional: true,
    description: 'Of the period; the last one that has ended when left out.',
  })
  at?: string;
}

export class ExportRunQuery extends PageQuery {
  @OneOf(EXPORT_RUN_STATUSES, { optional: true })
  status?: ExportRunStatus;
}

const COUNT = { min: 0, max: Number.MAX_SAFE_INTEGER };

class WrittenExportView {
  @Text({
    max: 4_096,
    description: 'A path below the folder for exports, or the URL of an object.',
  })
  place: string;

  @Int({ ...COUNT, description: 'Without the head of CSV.' })
  rows: number;

  @Int(COUNT)
  bytes: number;

  @Text({ min: 64, max: 64, description: 'Of the whole file, in hex.' })
  sha256: string;
}

export class ExportRunView {
  @Id()
  id: string;

  @OneOf(EXPORT_RUN_STATUSES, { description: 'failed is tried again; dead waits for a person.' })
  status: ExportRunStatus;

  @Nested(() => ExportPeriodView)
  period: ExportPeriodView;

  @Nested(() => WrittenExportView, {
    nullable: true,
    description: 'Of the last time that it came through.',
  })
  written: WrittenExportView | null;

  @Text({ nullable: true, max: 500, description: 'Why the last attempt failed.' })
  fault: string | null;

  @Int(COUNT)
  attempts: number;

  @Instant({ nullable: true })
  nextAttemptAt: Date | null;

  @Instant()
  createdAt: Date;

  @Instant({ nullable: true })
  startedAt: Date | null;

  @Instant({ nullable: true })
  endedAt: Date | null;
}

export class ExportRunPage {
  @ListOf(() => ExportRunView, { max: 500 })
  items: ExportRunView[];

  @Text({ optional: true })
  next?: string;
}

export class DryExportRunView extends WrittenExportView {
  @Nested(() => ExportPeriodView)
  period: ExportPeriodView;

  @Text({
    nullable: true,
    max: 500,
    description: 'What keeps the target from taking it, as far as one can see without asking it.',
  })
  fault: string | null;
}

/** A new schedule, in the domain's words. Throws `InvalidRequest` for a target that lacks something. */
export function newSchedule(
  body: CreateExportScheduleBody,
): Omit<NewExportSchedule, 'from'> & { readonly from?: Date } {
  const { export: exportName, format, interval, timezone = 'UTC', from } = body;
  const { delayHours = 0, waitsForInvoices = false } = body;
  const rule = { interval, timezone, delayHours };
  const first = from === undefined ? {} : { from: new Date(from) };
  return { exportName, format, ...rule, waitsForInvoices, ...first, ...targetOf(body.target) };
}

/** A change, likewise. */
export function scheduleChange(body: UpdateExportScheduleBody): ExportScheduleChange {
  const { delayHours, waitsForInvoices, disabled, target } = body;
  return {
    ...(delayHours !== undefined && { delayHours }),
    ...(waitsForInvoices !== undefined && { waitsForInvoices }),
    ...(disabled !== undefined && { isDisabled: disabled }),
    ...(target && { to: targetOf(target) }),
  };
}

export const scheduleView = ({ exportName, ...schedule }: ExportSchedule): ExportScheduleView => ({
  ...schedule,
  export: exportName,
});

const S3_FIELDS = ['endpoint', 'region', 'bucket', 'accessKeyId', 'secretAccessKey'] as const;

/** A target as one of its kind: with all of its fields, and none of the other. */
function targetOf(body: ExportTargetBody): ExportTargetSettings {
  const wanted: readonly (keyof ExportTargetBody)[] =
    body.kind === 'folder' ? ['folder'] : S3_FIELDS;
  const allowed: readonly string[] = ['kind', ...wanted, ...(body.kind === 's3' ? ['prefix'] : [])];
  const faults: FieldFault[] = [
    ...wanted
      .filter((field) => body[field] === undefined)
      .map((field) => ({ pointer: `/target/${field}`, detail: 'is required' })),
    ...Object.entries(body)
      .filter(([field, value]) => value !== undefined && !allowed.includes(field))
      .map(([field]) => ({
        pointer: `/target/${field}`,
        detail: `is not for a ${body.kind} target`,
      })),
  ];
  if (faults.length > 0) throw new InvalidRequest(faults);
  const {
    folder = '',
    endpoint = '',
    region = '',
    bucket = '',
    prefix = '',
    accessKeyId = '',
  } = body;
  const target: ExportTarget =
    body.kind === 'folder'
      ? { kind: 'folder', folder }
      : { kind: 's3', endpoint, region, bucket, prefix, accessKeyId };
  return { target, secretAccessKey: body.secretAccessKey ?? null };
}
