import { STATUS_CODES } from 'node:http';

/** How long an idle connection stays open; longer than a proxy's 60 s. */
export const KEEP_ALIVE_MS = 72_000;

/**
 * Answers of one status whose header fields are mostly the same, for routes that are asked thousands of times a second.
 * Names and values are not checked here: they must be printable ASCII of our own. Bodies are text of one byte a character.
 */
export class HotAnswer {
  private readonly statusLine: string;
  private readonly fixedLines: string;

  constructor(
    readonly status: number,
    private readonly fixed: readonly string[],
  ) {
    this.statusLine = statusLine(status);
    this.fixedLines = fieldLines(fixed);
  }

  /** Name, value, name, value. `varying` comes first, since nginx looks a field up from the front. */
  fields(varying: readonly string[], body: string): string[] {
    return [...varying, ...this.fixed, 'Content-Length', String(body.length)];
  }

  /** The whole answer with what Node adds to each by itself; to HEAD without the body. */
  text(
    varying: readonly string[],
    body: string,
    { isHead, isLast }: { isHead: boolean; isLast: boolean },
  ): string {
    return `${this.statusLine}${fieldLines(varying)}${this.fixedLines}Content-Length: ${body.length}\r\n${connectionLines(isLast)}\r\n${isHead ? '' : body}`;
  }
}

/** An answer of any status, as text. */
export function answerText(
  status: number,
  fields: readonly string[],
  body: string,
  { isLast }: { isLast: boolean },
): string {
  return `${statusLine(status)}${fieldLines(fields)}${connectionLines(isLast)}\r\n${body}`;
}

const statusLine = (status: number) => `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n`;

function fieldLines(fields: readonly string[]): string {
  let lines = '';
  for (let i = 0; i < fields.length; i += 2) lines += `${fields[i]}: ${fields[i + 1]}\r\n`;
  return lines;
}

let second = NaN;
let dateLine = '';
let linesOfSecond = '';

/** What Node adds to every answer by itself; made once a second. */
function connectionLines(isLast: boolean): string {
  const now = Math.floor(Date.now() / 1000);
  if (now !== second) {
    second = now;
    dateLine = `Date: ${new Date(now * 1000).toUTCString()}\r\n`;
    linesOfSecond = `${dateLine}Connection: keep-alive\r\nKeep-Alive: timeout=${KEEP_ALIVE_MS / 1000}\r\n`;
  }
  return isLast ? `${dateLine}Connection: close\r\n` : linesOfSecond;
}
