import { hash } from 'node:crypto';
import { EVENT_SPAN, eventContent, type CloudEvent, type PlainEvents } from '@core/metering';

/** Who an event is, and what it said. */
export interface EventIdentity {
  /** 16 bytes as hex. */
  readonly identity: string;
  /** 8 bytes as a signed decimal. */
  readonly content: string;
}

/** Ids and sources have no line ends, so no two pairs have the same text. */
export function identityOf(accountId: string, event: CloudEvent): EventIdentity {
  return {
    identity: digest(`${accountId}\n${event.source}\n${event.id}`).slice(0, 32),
    content: contentId(eventContent(event)),
  };
}

/** What an event said, by its `eventContent`. */
export const contentId = (content: string | Uint8Array): string =>
  BigInt.asIntN(64, BigInt(`0x${digest(content).slice(0, 16)}`)).toString();

/** The same as `identityOf`, of plain events whose contents were told. */
export function plainIdentities(
  accountId: string,
  { bytes, spans, count }: PlainEvents,
  contents: readonly string[],
): EventIdentity[] {
  const account = Buffer.from(`${accountId}\n`);
  const text = Buffer.alloc(account.length + 2 * TEXT_BYTES_MAX + 1);
  account.copy(text);
  return Array.from({ length: count }, (_, index) => {
    const base = index * EVENT_SPAN.size;
    let end = account.length;
    for (const at of [base + EVENT_SPAN.source, base + EVENT_SPAN.id]) {
      for (let n = spans[at] ?? 0; n < (spans[at + 1] ?? 0); n += 1, end += 1)
        text[end] = bytes[n] ?? 0;
      text[end] = LINE_END;
      end += 1;
    }
    const identity = digest(text.subarray(0, end - 1)).slice(0, 32);
    return { identity, content: contents[index] ?? '' };
  });
}

/** What `unique-count` knows a value by. */
export const memberId = (member: string): string => digest(member).slice(0, 32);

const digest = (text: string | Uint8Array): string => hash('sha256', text, 'hex');

const LINE_END = 0x0a;
/** Of an id and of a source. */
const TEXT_BYTES_MAX = 1_024;
