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
  private readonly tellsConnection: boolean;

  /** `tellsConnection` is false for who asks by HTTP/1.1 and needs not be told that the connection stays. */
  constructor(
    readonly status: number,
    private readonly fixed: readonly string[],
    { tellsConnection = true }: { tellsConnection?: boolean } = {},
  ) {
    this.statusLine = statusLine(status);
    this.fixedLines = `${fieldLines(fixed)}Content-Length: `;
    this.tellsConnection = tellsConnection;
  }

  /** Name, value, name, value. `lines` come first, since nginx looks a field up from the front. */
  fields(lines: string, body: string): string[] {
    const own = lines
      .split('\r\n')
      .slice(0, -1)
      .flatMap((line) => {
        const colon = line.indexOf(':');
        return [line.slice(0, colon), line.slice(colon + 2)];
      });
    return [...own, ...this.fixed, 'Content-Length', String(body.length)];
  }

  /** The whole answer with what Node adds to each by itself; to HEAD without the body. */
  text(
    lines: string,
    body: string,
    { isHead, isLast }: { isHead: boolean; isLast: boolean },
  ): string {
    const connection = connectionLines(isLast, this.tellsConnection);
    return `${this.statusLine}${lines}${this.fixedLines}${body.length}\r\n${connection}\r\n${isHead ? '' : body}`;
  }
}

/** An answer of any status, as text. */
export function answerText(
  status: number,
  fields: readonly string[],
  body: string,
  { isLast }: { isLast: boolean },
): string {
  return `${statusLine(status)}${fieldLines(fields)}${connectionLines(isLast, true)}\r\n${body}`;
}

const statusLine = (status: number) => `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n`;

/** Name, value, name, value, each pair as a line. */
export function fieldLines(fields: readonly string[]): string {
  let lines = '';
  for (let i = 0; i < fields.length; i += 2) lines += `${fields[i]}: ${fields[i + 1]}\r\n`;
  return lines;
}

let second = NaN;
let dateLine = '';
let linesOfSecond = '';

/** What Node adds to every answer by itself; made once a second. */
function connectionLines(isLast: boolean, tellsConnection: boolean): string {
  const now = Math.floor(Date.now() / 1000);
  if (now !== second) {
    second = now;
    dateLine = `Date: ${new Date(now * 1000).toUTCString()}\r\n`;
    linesOfSecond = `${dateLine}Connection: keep-alive\r\nKeep-Alive: timeout=${KEEP_ALIVE_MS / 1000}\r\n`;
  }
  if (isLast) return `${dateLine}Connection: close\r\n`;
  return tellsConnection ? linesOfSecond : dateLine;
}
