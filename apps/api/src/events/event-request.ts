import { isUtf8 } from 'node:buffer';
import type { FieldFault } from '@core/kernel';
import {
  EVENTS_MAX,
  isBinaryEvent,
  readBinaryEvent,
  readCloudEvent,
  type CloudEvent,
} from '@core/metering';
import type { ReceivedEvents, SentEvents } from '@io/metering';
import { InvalidRequest } from '@io/platform';

/** What of an HTTP request the events are read from. */
export interface EventRequest {
  readonly headers: Readonly<Record<string, unknown>> & {
    readonly 'content-type'?: string | undefined;
  };
  /** Names and values in turn, as they came. */
  readonly rawHeaders: readonly string[];
  readonly body: Buffer;
}

const EVENTS = /^application\/cloudevents(-batch)?([+][^;\s]*)?[ \t]*(?:;[ \t]*(.*))?$/i;
const UTF8 = /^charset="?utf-8"?[ \t]*$/i;

/** The events of a request, read as late as can be: those of a batch may be taken from its bytes (`readEvents`). */
export function sentEvents(request: EventRequest): SentEvents {
  const mode = EVENTS.exec(request.headers['content-type'] ?? '');
  const isBatch = mode?.[1] !== undefined && isJsonInUtf8(mode);
  return { batch: isBatch ? request.body : null, read: () => readEvents(request) };
}

/**
 * The events of a request in any mode of the HTTP binding of CloudEvents: the content type says structured or batch, else
 * `ce-` header fields make it binary. Throws a 415 for another format, and `InvalidRequest` with what the specification refuses.
 */
export function readEvents({ headers, rawHeaders, body }: EventRequest): ReceivedEvents {
  const mode = EVENTS.exec(headers['content-type'] ?? '');
  const faults: FieldFault[] = [];
  if (!mode) {
    if (!isBinaryEvent(headers)) throw notEvents();
    const event = readBinaryEvent({ rawHeaders, body }, faults);
    return received(event ? [event] : [], faults, (_, pointer) =>
      pointer.startsWith('/data') ? pointer : pointer.replace('/', '/ce-'),
    );
  }
  if (!isJsonInUtf8(mode)) throw notEvents();
  const json = jsonOf(body);
  if (mode[1] === undefined) {
    const event = readCloudEvent(json, '', faults);
    return received(event ? [event] : [], faults, (_, pointer) => pointer);
  }
  if (!Array.isArray(json) || json.length > EVENTS_MAX)
    throw new InvalidRequest([
      { pointer: '/', detail: `must be a list of at most ${EVENTS_MAX} events` },
    ]);
  const events = json.map((one, index) => readCloudEvent(one, `/${index}`, faults));
  return received(events, faults, (index, pointer) => `/${index}${pointer}`);
}

const isJsonInUtf8 = ([, , format = '', parameter = '']: RegExpExecArray): boolean =>
  format.toLowerCase() === '+json' && (parameter === '' || UTF8.test(parameter));

function received(
  events: readonly (CloudEvent | null)[],
  faults: readonly FieldFault[],
  pointerOf: ReceivedEvents['pointerOf'],
): ReceivedEvents {
  if (faults.length > 0) throw new InvalidRequest(faults);
  return { events: events.filter((event) => event !== null), pointerOf };
}

function jsonOf(body: Buffer): unknown {
  try {
    if (isUtf8(body)) return JSON.parse(body.toString('utf8'));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw new InvalidRequest([{ pointer: '/', detail: 'is not valid JSON in UTF-8' }]);
}

const notEvents = () =>
  Object.assign(
    new Error(
      'Send application/cloudevents+json, application/cloudevents-batch+json, or an event in ce- header fields.',
    ),
    { statusCode: 415 },
  );
