import { Injectable } from '@nestjs/common';
import { IngestionBusy } from '@core/metering';
import { Config } from '@io/platform';

/** Connections of the pool that batches may take at once: the other half is for decisions and pages. */
const STORING_MAX = 5;
/** Of all bytes, the part that may be parsed and stored at once: what is parsed takes several times its bytes. */
const STORING_SHARE = 4;
const WAIT_MS_MAX = 5_000;

interface Waiting {
  readonly bytes: number;
  readonly start: () => void;
}

/**
 * Bounds what usage that has come, but is not stored yet, takes of memory: by the bytes of the bodies, since one batch
 * may be a hundred bytes and the next one eight million. What finds no room, or no turn within five seconds, is
 * refused (`IngestionBusy`), also while the database does not move at all.
 */
@Injectable()
export class UsageIntake {
  private readonly bytesMax: number;
  private bytes = 0;
  private storing = 0;
  private storingBytes = 0;
  private readonly waiting: Waiting[] = [];

  constructor(config: Config) {
    this.bytesMax = config.usageIntakeBytes;
  }

  /** The share of one body. Whoever opens it closes it, however it ends. */
  open(): IntakeShare {
    return new IntakeShare((bytes) => this.hold(bytes));
  }

  /** Does the work of a body when it is its turn; the first that came is the first that goes. */
  async whenItsTurn<T>({ bytes }: IntakeShare, work: () => Promise<T>): Promise<T> {
    if (this.waiting.length > 0 || !this.hasTurn(bytes)) await this.turn(bytes);
    else this.begin(bytes);
    try {
      return await work();
    } finally {
      this.storing -= 1;
      this.storingBytes -= bytes;
      this.startNext();
    }
  }

  /** What is held now, for tests and metrics. */
  stats(): { readonly bytes: number; readonly storing: number; readonly waiting: number } {
    return { bytes: this.bytes, storing: this.storing, waiting: this.waiting.length };
  }

  private hold(bytes: number): boolean {
    if (this.bytes + bytes > this.bytesMax) return false;
    this.bytes += bytes;
    return true;
  }

  /** One body always has a turn, however large it is. */
  private hasTurn(bytes: number): boolean {
    if (this.storing === 0) return true;
    return this.storing < STORING_MAX && this.storingBytes + bytes <= this.bytesMax / STORING_SHARE;
  }

  private begin(bytes: number): void {
    this.storing += 1;
    this.storingBytes += bytes;
  }

  private turn(bytes: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const deadline = setTimeout(() => {
        this.waiting.splice(this.waiting.indexOf(waiting), 1);
        // It may have been the large one that the others stood behind.
        this.startNext();
        reject(new IngestionBusy());
      }, WAIT_MS_MAX);
      const start = () => {
        clearTimeout(deadline);
        resolve();
      };
      const waiting: Waiting = { bytes, start };
      this.waiting.push(waiting);
    });
  }

  private startNext(): void {
    for (let next = this.waiting[0]; next && this.hasTurn(next.bytes); next = this.waiting[0]) {
      this.waiting.shift();
      this.begin(next.bytes);
      next.start();
    }
  }
}

/** The bytes of one body. */
export class IntakeShare {
  /** So many are held now. */
  bytes = 0;
  private isClosed = false;

  constructor(private readonly hold: (bytes: number) => boolean) {}

  /** Holds so many bytes more; false when there is no room for them. */
  grow(bytes: number): boolean {
    if (this.isClosed || !this.hold(bytes)) return false;
    this.bytes += bytes;
    return true;
  }

  /** Gives all bytes back. A second time does nothing. */
  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.hold(-this.bytes);
  }
}
