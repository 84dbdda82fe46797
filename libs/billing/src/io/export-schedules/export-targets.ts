import type { Readable } from 'node:stream';
import { lstat, mkdir, mkdtemp, open, readdir, realpath, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Injectable } from '@nestjs/common';
import { Config, EgressClient, EgressFailure, SystemClock } from '@io/platform';
import { s3ErrorCode, s3ObjectUrl, signedPut } from './s3-object.js';

/** Where files go: a folder below the one that the operator has opened, or a bucket of S3 or its like. */
export type ExportTarget =
  | { readonly kind: 'folder'; readonly folder: string }
  | {
      readonly kind: 's3';
      /** Without the bucket: `https://s3.eu-central-1.amazonaws.com`. */
      readonly endpoint: string;
      readonly region: string;
      readonly bucket: string;
      /** What keys begin with, such as `finance/`; may be nothing. */
      readonly prefix: string;
      readonly accessKeyId: string;
    };

/** A file that is to be at a target. */
export interface TargetFile {
  readonly accountId: string;
  readonly name: string;
  readonly contentType: string;
  readonly runId: string;
  /** Of the run: two attempts that write at the same time do not meet. */
  readonly attempt: number;
}

/** What was gathered of it: all. */
export interface GatheredFile {
  readonly path: string;
  readonly bytes: number;
  /** In hex. */
  readonly sha256: string;
  /** Reads it, and says so to whoever waits. */
  open(): Readable;
}

/** A place for files, each of which is there whole or not at all. */
export interface OpenTarget {
  /** Where it is gathered, out of sight. */
  gatherAt(file: TargetFile): Promise<string>;
  /** Puts what was gathered where it belongs, in one step and over what was there. */
  put(file: TargetFile, gathered: GatheredFile): Promise<void>;
  /** Takes away what was gathered. */
  clear(path: string): Promise<void>;
}

/** A target does not take the file; the message is shown. */
export class TargetRefused extends Error {
  override readonly name = 'TargetRefused';

  constructor(
    message: string,
    /** Whether it will not take it another time either. */
    readonly isFinal = false,
  ) {
    super(message);
  }
}

/** One PUT of S3 has at most 5 GiB. */
const PUT_BYTES_MAX = 5 * 1024 ** 3;
const PUT_MS_MIN = 60_000;
/** The slowest upload that is waited for, in bytes in a millisecond: 256 KiB/s. */
const PUT_PACE_MIN = 256;

/** The key of a schedule's files, as one text. */
export function placeOf(target: ExportTarget): string {
  return target.kind === 'folder'
    ? `folder ${target.folder}`
    : `s3 ${new URL(target.endpoint).origin}/${target.bucket}/${target.prefix}`;
}

/** Where a file is: below the folder for exports, or the URL of its object. */
export function filePlaceOf(
  target: ExportTarget,
  { accountId, name }: Pick<TargetFile, 'accountId' | 'name'>,
): string {
  return target.kind === 'folder'
    ? `${accountId}/${target.folder}/${name}`
    : s3ObjectUrl(target, target.prefix + name).href;
}

/** Opens targets. */
@Injectable()
export class ExportTargets {
  constructor(
    private readonly config: Config,
    private readonly egress: EgressClient,
    private readonly clock: SystemClock,
  ) {}

  /** What keeps a target from being used at all; null when nothing does. */
  faultOf(target: ExportTarget): { readonly field: string; readonly detail: string } | null {
    if (target.kind === 'folder') {
      if (this.config.exportRoot !== null) return null;
      return {
        field: 'folder',
        detail:
          'cannot be used: this installation has no folder for exports (TOLLGATE_EXPORT_ROOT)',
      };
    }
    const detail =
      this.egress.urlFault(target.endpoint) ??
      (/^\/?$/.test(new URL(target.endpoint).pathname) && !target.endpoint.includes('?')
        ? null
        : 'must not have a path or a query: the bucket has a field of its own');
    return detail === null ? null : { field: 'endpoint', detail };
  }

  /** Throws `TargetRefused`. */
  open(target: ExportTarget, secretAccessKey: string | null): OpenTarget {
    if (target.kind === 'folder') {
      const { exportRoot } = this.config;
      if (exportRoot === null)
        throw new TargetRefused(
          'This installation has no folder for exports (TOLLGATE_EXPORT_ROOT).',
        );
      return new FolderTarget(exportRoot, target.folder);
    }
    return new BucketTarget(
      { ...target, secretAccessKey: secretAccessKey ?? '' },
      this.egress,
      this.clock,
    );
  }
}

/**
 * Files in `<root>/<account>/<folder>`. A file is gathered beside its name, under a hidden one, and renamed when it is whole and on disk.
 */
class FolderTarget implements OpenTarget {
  constructor(
    private readonly root: string,
    private readonly folder: string,
  ) {}

  async gatherAt(file: TargetFile): Promise<string> {
    const folder = await this.ownFolder(file.accountId);
    const begin = `.${file.name}.`;
    // What earlier attempts left behind when their worker died.
    for (const name of await readdir(folder))
      if (name.startsWith(begin) && name.endsWith('.part'))
        await rm(join(folder, name), { force: true });
    return join(folder, `${begin}${file.runId}-${file.attempt}.part`);
  }

  async put({ name }: TargetFile, { path }: GatheredFile): Promise<void> {
    const folder = dirname(path);
    await syncToDisk(path);
    await rename(path, join(folder, name));
    await syncToDisk(folder);
  }

  clear(path: string): Promise<void> {
    return rm(path, { force: true });
  }

  /** Made a name at a time, and none of them a link: a link could lead out of the root. */
  private async ownFolder(accountId: string): Promise<string> {
    let path = await realpath(this.root).catch(() => {
      throw new TargetRefused('The folder for exports (TOLLGATE_EXPORT_ROOT) is not there.');
    });
    for (const name of [accountId, ...this.folder.split('/')]) {
      path = join(path, name);
      await mkdir(path).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'EEXIST')
          throw new TargetRefused(`The folder cannot be made (${error.code}).`);
      });
      if (!(await lstat(path)).isDirectory())
        throw new TargetRefused('The folder leads through something that is no folder.');
    }
    return path;
  }
}

/** Objects in a bucket. One PUT of known length and content, which S3 checks: the object is there whole, or as it was before. */
class BucketTarget implements OpenTarget {
  constructor(
    private readonly bucket: Extract<ExportTarget, { kind: 's3' }> & {
      readonly secretAccessKey: string;
    },
    private readonly egress: EgressClient,
    private readonly clock: SystemClock,
  ) {}

  async gatherAt({ name, runId }: TargetFile): Promise<string> {
    const begin = `tollgate-${runId}-`;
    for (const left of await readdir(tmpdir()))
      if (left.startsWith(begin)) await rm(join(tmpdir(), left), { recursive: true, force: true });
    return join(await mkdtemp(join(tmpdir(), begin)), name);
  }

  async put(
    { name, contentType }: TargetFile,
    { bytes, sha256, open: openFile }: GatheredFile,
  ): Promise<void> {
    if (bytes > PUT_BYTES_MAX)
      throw new TargetRefused(
        'It has more than the 5 GiB of one PUT: choose a shorter interval, or Parquet.',
        true,
      );
    const key = this.bucket.prefix + name;
    const object = { key, contentType, bytes, sha256 };
    const headers = await signedPut(this.bucket, object, this.clock.now());
    const { status, body } = await this.egress
      .post(s3ObjectUrl(this.bucket, key).href, {
        method: 'PUT',
        headers,
        body: { bytes, open: openFile },
        totalMs: PUT_MS_MIN + bytes / PUT_PACE_MIN,
      })
      .catch((error: unknown) => {
        if (error instanceof EgressFailure)
          throw new TargetRefused(`The bucket cannot be reached: ${error.fault}.`);
        throw error;
      });
    if (status === 200) return;
    throw new TargetRefused(
      `The bucket answered ${[status, s3ErrorCode(body)].filter(Boolean).join(' ')}.`,
    );
  }

  clear(path: string): Promise<void> {
    return rm(dirname(path), { recursive: true, force: true });
  }
}

/** Until then a file, or what a folder has of names, may be in memory only. */
async function syncToDisk(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
