import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MalformedStream, ServerSentEventReader } from './server-sent-events.js';

const read = (...texts: string[]) => {
  const reader = new ServerSentEventReader();
  return texts.flatMap((text) => reader.read(text));
};

describe('ServerSentEventReader', () => {
  it.each([
    { text: 'data: a\n\n', is: ['message', 'a', undefined], why: 'the plainest event' },
    { text: 'event: change\ndata:{}\nid: 7\n\n', is: ['change', '{}', '7'], why: 'all fields' },
    { text: ': ping\n\ndata: a\n\n', is: ['message', 'a', undefined], why: 'comments are none' },
    { text: 'data: a\ndata: b\n\n', is: ['message', 'a\nb', undefined], why: 'lines are joined' },
    { text: 'event: reset\n\n', is: ['reset', '', undefined], why: 'a name is enough' },
    { text: 'retry: 1\nid: 3\n\ndata: x\n\n', is: ['message', 'x', '3'], why: 'an id outlasts' },
    {
      text: 'data\r\n\r\n',
      is: ['message', '', undefined],
      why: 'CRLF, and a field without value',
    },
    {
      text: 'data:  a\n\n',
      is: ['message', ' a', undefined],
      why: 'one space belongs to the colon',
    },
  ])('reads $text: $why', ({ text, is }) => {
    expect(read(text).map(({ type, data, id }) => [type, data, id])).toEqual([is]);
  });

  it('reads the same however the text is cut', () => {
    const text =
      ': ping\r\n\r\nevent: change\r\ndata: {"keyId":"a"}\r\nid: 1\r\n\r\nid: 2\rdata: b\r\rdata: c\n\n';
    const whole = read(text);
    expect(whole).toHaveLength(3);
    fc.assert(
      fc.property(fc.array(fc.nat(text.length)), (cuts) => {
        const at = [0, ...cuts.toSorted((a, b) => a - b), text.length];
        expect(read(...at.slice(1).map((end, i) => text.slice(at[i], end)))).toEqual(whole);
      }),
    );
  });

  it('keeps no line without end', () => {
    expect(() => read(...Array.from({ length: 20 }, () => 'x'.repeat(100_000)))).toThrow(
      MalformedStream,
    );
  });
});
