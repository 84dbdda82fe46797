import { describe, expect, it } from 'vitest';
import { groupedDecimal, printableText, spreadsheetText } from './index.js';

describe('spreadsheetText', () => {
  it.each(['=1+1', '+1', '-1', '@SUM(A1)', '\t=1', '\r=1', '\n=1', '＝1', '＋1', '－1', '＠x'])(
    'disarms %j',
    (text) => expect(spreadsheetText(text)).toBe(`'${text}`),
  );

  it('leaves other text as it is', () => {
    expect(spreadsheetText('Acme = good, 1+1')).toBe('Acme = good, 1+1');
    expect(spreadsheetText('')).toBe('');
  });
});

describe('printableText', () => {
  it('drops what cannot be seen and keeps line breaks', () => {
    expect(printableText('Ac\u202Eme\u0007\u200B\u2066 GmbH\r\nMain\tStreet')).toBe(
      'Acme GmbH\nMainStreet',
    );
  });
});

describe('groupedDecimal', () => {
  it.each([
    { decimal: '0', grouped: '0' },
    { decimal: '999', grouped: '999' },
    { decimal: '-1165.50', grouped: '-1,165.50' },
    { decimal: '21000000000', grouped: '21,000,000,000' },
    { decimal: '0.0000035', grouped: '0.0000035' },
  ])('writes $decimal as $grouped', ({ decimal, grouped }) => {
    expect(groupedDecimal(decimal)).toBe(grouped);
  });
});
