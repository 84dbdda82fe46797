import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Injectable } from '@nestjs/common';
import { exportFileName } from '@core/billing';
import type { Period } from '@core/kernel';
import { EXPORT_TYPES } from '../exports/export.js';
import { ExportsService } from '../exports/exports.service.js';
import type { WrittenExport } from './export-runs.repository.js';
import type { ExportSchedule, ExportTargetSettings } from './export-schedules.repository.js';
import { ExportTargets, filePlaceOf, type TargetFile } from './export-targets.js';

/** A period of a schedule that is to be written. */
export interface ExportOrder {
  readonly accountId: string;
  readonly schedule: ExportSchedule;
  readonly period: Period;
}

/** The right of an attempt to write; both throw when it is gone. */
export interface ExportClaim {
  readonly runId: string;
  readonly attempt: number;
  /** To be called as work goes on, however often. */
  keep(): Promise<void>;
  /** To be called before something can be seen. */
  confirm(): Promise<void>;
}

/** Writes exports to where their schedules say; memory stays the same for any number of rows. */
@Injectable()
export class ExportWriterService {
  constructor(
    private readonly exports: ExportsService,
    private readonly targets: ExportTargets,
  ) {}

  /** Gathers the whole file first, then puts it where it belongs in one step. Throws `TargetRefused`, `ExportsBusy`. */
  async write(
    order: ExportOrder & { readonly schedule: ExportTargetSettings },
    claim: ExportClaim,
  ): Promise<WrittenExport> {
    const { target: place, secretAccessKey } = order.schedule;
    const target = this.targets.open(place, secretAccessKey);
    const file = fileOf(order, claim);
    const path = await target.gatherAt(file);
    try {
      const gathered = await this.gather(order, createWriteStream(path), claim.keep);
      await claim.confirm();
      const { bytes, sha256 } = gathered;
      const open = () =>
        Readable.from(new Watched(claim.keep).pass(createReadStream(path)), { objectMode: false });
      await target.put(file, { path, bytes, sha256, open });
      return { place: filePlaceOf(place, file), ...gathered };
    } finally {
      await target.clear(path);
    }
  }

  /** What would be written, without writing it: read whole and thrown away; and what keeps the target from taking it, as far as one can see from here. */
  async measure(order: ExportOrder): Promise<WrittenExport & { readonly fault: string | null }> {
    const { target } = order.schedule;
    const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
    const gathered = await this.gather(order, nowhere, () => Promise.resolve());
    const fault = this.targets.faultOf(target);
    return {
      place: filePlaceOf(target, fileOf(order, { runId: '', attempt: 0 })),
      ...gathered,
      fault: fault && `Its ${fault.field} ${fault.detail}.`,
    };
  }

  private async gather(
    { accountId, schedule, period }: ExportOrder,
    to: Writable,
    keep: () => Promise<void>,
  ): Promise<Omit<WrittenExport, 'place'>> {
    const { exportName: name, format } = schedule;
    const { bytes, rows } = await this.exports.read({ accountId }, { name, format, ...period });
    const watched = new Watched(keep);
    await pipeline(bytes, (source: AsyncIterable<Buffer>) => watched.pass(source), to);
    return { rows: rows(), bytes: watched.bytes, sha256: watched.sha256() };
  }
}

function fileOf(
  { accountId, schedule, period }: ExportOrder,
  { runId, attempt }: Pick<ExportClaim, 'runId' | 'attempt'>,
): TargetFile {
  const { exportName: name, format, timezone } = schedule;
  const fileName = exportFileName({ name, format, timezone }, period);
  return { accountId, name: fileName, contentType: EXPORT_TYPES[format], runId, attempt };
}

/** Lets bytes pass, counts and hashes them, and says so that there is progress. */
class Watched {
  bytes = 0;
  private readonly hash = createHash('sha256');

  constructor(private readonly keep: () => Promise<void>) {}

  async *pass(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of source) {
      this.bytes += chunk.length;
      this.hash.update(chunk);
      await this.keep();
      yield chunk;
    }
  }

  /** In hex; of all that passed. */
  sha256(): string {
    return this.hash.digest('hex');
  }
}
