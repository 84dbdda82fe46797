/** One event of a stream of server-sent events. */
export interface ServerSentEvent {
  /** `message` when the stream names none. */
  readonly type: string;
  readonly data: string;
  /** The last id that the stream has named, with which it can be resumed; undefined before the first. */
  readonly id: string | undefined;
}

const PENDING_MAX = 1024 * 1024;

/** The stream holds what no service of ours would send. */
export class MalformedStream extends Error {
  override readonly name = 'MalformedStream';
}

/**
 * Reads server-sent events (WHATWG HTML §9.2.6) from text as it arrives: lines end in CR, LF or CRLF wherever the text
 * is cut, and an event ends with an empty line. One that has a type but no data is an event here, where the standard
 * drops it: `reset` says all with its name.
 */
export class ServerSentEventReader {
  private pending = '';
  private type = '';
  private data: string[] = [];
  private id: string | undefined;

  /** `lastEventId` is the id with which the stream was resumed. */
  constructor(lastEventId?: string) {
    this.id = lastEventId;
  }

  /** The events that this text completes. Throws `MalformedStream` for a line without end. */
  read(text: string): ServerSentEvent[] {
    const events: ServerSentEvent[] = [];
    this.pending += text;
    let from = 0;
    for (;;) {
      const end = lineEnd(this.pending, from);
      if (end === undefined) break;
      const event = this.line(this.pending.slice(from, end.at));
      if (event !== undefined) events.push(event);
      from = end.next;
    }
    this.pending = this.pending.slice(from);
    if (this.pending.length > PENDING_MAX) throw new MalformedStream('a line longer than 1 MiB');
    return events;
  }

  private line(line: string): ServerSentEvent | undefined {
    if (line === '') return this.dispatch();
    const colon = line.indexOf(':');
    if (colon === 0) return undefined;
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'event') this.type = value;
    else if (field === 'data') this.data.push(value);
    else if (field === 'id' && !value.includes('\0')) this.id = value;
    return undefined;
  }

  private dispatch(): ServerSentEvent | undefined {
    const { type, data, id } = this;
    this.type = '';
    this.data = [];
    if (data.length === 0 && type === '') return undefined;
    return { type: type === '' ? 'message' : type, data: data.join('\n'), id };
  }
}

/** Where the line from here ends and the next begins; undefined while that is not known: a CR may be half of a CRLF. */
function lineEnd(text: string, from: number): { at: number; next: number } | undefined {
  for (let at = from; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === 0x0a) return { at, next: at + 1 };
    if (code === 0x0d) {
      if (at + 1 === text.length) return undefined;
      return { at, next: text.charCodeAt(at + 1) === 0x0a ? at + 2 : at + 1 };
    }
  }
  return undefined;
}
