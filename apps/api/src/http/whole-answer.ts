import { STATUS_CODES, type ServerResponse } from 'node:http';

/** How long an idle connection stays open; longer than a proxy's 60 s. */
export const KEEP_ALIVE_MS = 72_000;

/**
 * Answers of one status whose header fields are mostly the same, for routes that are asked thousands of times a second.
 *
 * Header and body leave in one write, past Node's own assembly of them, which costs as much as a decision. Then `finish` is emitted,
 * by which Node knows that the connection is free for its next request. Whenever the connection is anything but
 * idle and open for more, the answer goes Node's way instead. Either way the same bytes are sent (test/api/whole-answers.spec.ts).
 *
 * Names and values are not checked here: they must be printable ASCII of our own.
 */
export class WholeAnswer {
  private readonly statusLine: string;
  private readonly fixedLines: string;

  constructor(
    private readonly status: number,
    private readonly fixed: readonly string[],
  ) {
    this.statusLine = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n`;
    this.fixedLines = fieldLines(fixed);
  }

  /**
   * `varying` is name, value, name, value, and comes first, since nginx looks a field up from the front. `body` is text
   * of one byte a character, of which HEAD is told the length.
   */
  send(
    response: ServerResponse,
    varying: readonly string[],
    body: string,
    { isHead = false } = {},
  ): void {
    const { socket } = response;
    if (socket === null || !response.shouldKeepAlive || socket.writableLength > 0) {
      this.sendByNode(response, varying, body);
      return;
    }
    socket.write(
      `${this.statusLine}${fieldLines(varying)}${this.fixedLines}Content-Length: ${body.length}\r\n${connectionLines()}\r\n${isHead ? '' : body}`,
      'latin1',
    );
    response.emit('finish');
  }

  /** The same for a request whose body is still to come. */
  sendByNode(response: ServerResponse, varying: readonly string[], body: string): void {
    response.writeHead(this.status, [
      ...varying,
      ...this.fixed,
      'Content-Length',
      String(body.length),
    ]);
    response.end(body, 'latin1');
  }
}

function fieldLines(fields: readonly string[]): string {
  let lines = '';
  for (let i = 0; i < fields.length; i += 2) lines += `${fields[i]}: ${fields[i + 1]}\r\n`;
  return lines;
}

let second = NaN;
let linesOfSecond = '';

/** What Node adds to every answer by itself; made once a second. */
function connectionLines(): string {
  const now = Math.floor(Date.now() / 1000);
  if (now !== second) {
    second = now;
    const date = new Date(now * 1000).toUTCString();
    linesOfSecond = `Date: ${date}\r\nConnection: keep-alive\r\nKeep-Alive: timeout=${KEEP_ALIVE_MS / 1000}\r\n`;
  }
  return linesOfSecond;
}
