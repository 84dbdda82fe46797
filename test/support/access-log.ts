import { appendFileSync, copyFileSync, renameSync, truncateSync } from 'node:fs';

/** Writes an access log as nginx does, and rotates it as logrotate does. Knows what must be metered. */
export class AccessLogWriter {
  private next = 0;
  private rotations = 0;
  /** Calls and bytes that passed, by key: `bytes-out` differs per line, so a lost and a doubled line cannot cancel out. */
  readonly calls: Record<string, number> = {};
  readonly bytesOut: Record<string, number> = {};

  constructor(readonly path: string) {}

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

  private rotatedPath(): string {
    this.rotations += 1;
    return `${this.path}.${this.rotations}`;
  }

  private line(): string {
    const index = (this.next += 1);
    const isAllowed = index % 5 !== 0;
    const keyId = `key${index % 7}`;
    if (isAllowed) {
      this.calls[keyId] = (this.calls[keyId] ?? 0) + 1;
      this.bytesOut[keyId] = (this.bytesOut[keyId] ?? 0) + index;
    }
    return `${JSON.stringify({
      time: '2026-11-22T07:31:05+00:00',
      tollgateTime: new Date(Date.parse('2026-11-22T07:31:05Z') + index * 60_000).toISOString(),
      decision: isAllowed ? 'allowed' : 'refused',
      decisionId: `dec_${index}`,
      keyId,
      customerId: 'cus_1',
      apiId: 'petstore01',
      stage: 'prod',
      method: 'GET',
      resourcePath: '/pets/{petId}',
      status: isAllowed ? '200' : '429',
      bytesOut: String(index),
      protocol: 'REST',
    })}\n`;
  }
}
