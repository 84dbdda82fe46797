/** Where a report is read: how wide it is, and whether it shows colours. */
export interface Terminal {
  readonly width: number;
  readonly hasColour: boolean;
}

/** Of a file or a pipe, which nobody reads line by line. */
const WIDTH_OF_FILE = 120;

/** What is known of a stream. Colours only for people (`NO_COLOR`, https://no-color.org). */
export function terminalOf(
  {
    isTTY = false,
    columns = WIDTH_OF_FILE,
  }: { readonly isTTY?: boolean; readonly columns?: number },
  environment: Readonly<Record<string, string | undefined>>,
): Terminal {
  const isPlain = (environment['NO_COLOR'] ?? '') !== '' || environment['TERM'] === 'dumb';
  return { width: isTTY ? columns : WIDTH_OF_FILE, hasColour: isTTY && !isPlain };
}

const WIDE =
  /\p{Script=Han}|\p{Script=Hiragana}|\p{Script=Katakana}|\p{Script=Hangul}|[\uff01-\uff60]|\p{Emoji_Presentation}/u;
const MARK = /\p{Mark}|\u200d/u;

/** How many columns text takes on a terminal: two for each ideograph, none for a mark on a letter. */
export function widthOf(text: string): number {
  let width = 0;
  for (const character of text) width += MARK.test(character) ? 0 : WIDE.test(character) ? 2 : 1;
  return width;
}

/** Text in so many columns, cut with an ellipsis where it is longer. What would move the cursor is left out. */
export function fitted(text: string, width: number): string {
  const shown = text.replaceAll(/\p{Control}/gu, ' ');
  if (widthOf(shown) <= width) return shown + ' '.repeat(width - widthOf(shown));
  let cut = '';
  for (const character of shown) {
    if (widthOf(cut) + widthOf(character) > width - 1) break;
    cut += character;
  }
  return `${cut}…${' '.repeat(Math.max(0, width - 1 - widthOf(cut)))}`;
}
