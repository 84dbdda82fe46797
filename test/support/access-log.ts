import {
  appendFileSync,
  copyFileSync,
  existsSync,
  readFileSync,
  renameSync,
  statSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { gzipSync } from 'node:zlib';

/** What the lines say, and how they are spread over time. */
export interface AccessLogContent {
  /** Between two lines. Default a minute: each line is a record of its own. */
  readonly stepMs?: number;
  /** When the first line was. */
  readonly startsAt?: number;
  readonly keyIds?: readonly string[];
  readonly apiId?: string;
  readonly stage?: string;
  /** Hears of each call that passed, at its instant in milliseconds. */
  readonly onPassed?: (call: { at: number; keyId: string; bytesOut: number }) => void;
}

const STARTS_AT = Date.parse('2026-11-22T07:31:05Z');
const KEY_IDS = Array.from({ length: 7 }, (_, index) => `key${index}`);

/** Writes an access log as nginx does, and rotates it as logrotate does. Knows what must be metered. */
export class AccessLogWriter {
  private next = 0;
  private rotations = 0;
  /** Calls and bytes that passed, by key: `bytes-out` differs per line, so a lost and a doubled line cannot cancel out. */
  readonly calls: Record<string, number> = {};
  readonly bytesOut: Record<string, number> = {};

  constructor(
    readonly path: string,
    private readonly content: AccessLogContent = {},
  ) {}

  /** How many calls passed. */
  get passed(): number {
    return Object.values(this.calls).reduce((sum, calls) => sum + calls, 0);
  }

  /** Appends lines; every fifth call was refused. */
  append(lines: number): void {
    let text = '';
    for (let index = 0; index < lines; index += 1) text += this.line();
    appendFileSync(this.path, text);
  }

  /** Appends a line in two writes, and lets something happen between them. */
  appendInTwo(between: () => void): void {
    const line = this.line();
    appendFileSync(this.path, line.slice(0, 40));
    between();
    appendFileSync(this.path, line.slice(40));
  }

  /** Renames the log; the next line makes a new one. */
  rename(): void {
    renameSync(this.path, this.rotatedPath());
  }

  /** Copies the log and empties it in place. */
  copyTruncate(): void {
    copyFileSync(this.path, this.rotatedPath());
    truncateSync(this.path);
  }

  /** Compresses the newest rotated log that is not yet, as logrotate does, and keeps its time. */
  compress(): void {
    const path = Array.from({ length: this.rotations }, (_, index) => `${this.path}.${index + 1}`)
      .toReversed()
      .find((rotated) => existsSync(rotated));
    if (path === undefined) return;
    const { atime, mtime } = statSync(path);
    writeFileSync(`${path}.gz`, gzipSync(readFileSync(path), { level: 1 }));
    utimesSync(`${path}.gz`, atime, mtime);
    unlinkSync(path);
  }

  private rotatedPath(): string {
    this.rotations += 1;
    return `${this.path}.${this.rotations}`;
  }

  private line(): string {
    const index = (this.next += 1);
    const isAllowed = index % 5 !== 0;
    const { stepMs = 60_000, startsAt = STARTS_AT, keyIds = KEY_IDS } = this.content;
    const keyId = keyIds[index % keyIds.length] ?? '';
    const at = startsAt + index * stepMs;
    if (isAllowed) {
      this.calls[keyId] = (this.calls[keyId] ?? 0) + 1;
      this.bytesOut[keyId] = (this.bytesOut[keyId] ?? 0) + index;
      this.content.onPassed?.({ at, keyId, bytesOut: index });
    }
    return `${JSON.stringify({
      time: '2026-11-22T07:31:05+00:00',
      tollgateTime: new Date(at).toISOString(),
      decision: isAllowed ? 'allowed' : 'refused',
      decisionId: `dec_${index}`,
      keyId,
      customerId: 'cus_1',
      apiId: this.content.apiId ?? 'petstore01',
      stage: this.content.stage ?? 'prod',
      method: 'GET',
      resourcePath: '/pets/{petId}',
      status: isAllowed ? '200' : '429',
      bytesOut: String(index),
      protocol: 'REST',
    })}\n`;
  }
}
