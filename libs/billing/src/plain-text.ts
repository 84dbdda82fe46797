const FORMULA = /^[=+\-@\t\r\n\0＝＋－＠]/u;

/** Text that a spreadsheet shows instead of running it (OWASP "CSV injection"). For text cells only, never numbers. */
export function spreadsheetText(text: string): string {
  return FORMULA.test(text) ? `'${text}` : text;
}

/** Text for paper: without control, bidirectional and other invisible characters, but with its line breaks. */
export function printableText(text: string): string {
  return text.replace(/\r\n?/g, '\n').replace(/(?!\n)[\p{Cc}\p{Cf}\p{Co}\p{Cs}\u2028\u2029]/gu, '');
}

/** A plain decimal with its thousands grouped: `1,165.50`. */
export function groupedDecimal(decimal: string): string {
  const [, sign = '', whole = '', fraction = ''] = /^(-?)(\d+)(\.\d+)?$/.exec(decimal) ?? [];
  return sign + whole.replace(/\B(?=(\d{3})+$)/g, ',') + fraction;
}
