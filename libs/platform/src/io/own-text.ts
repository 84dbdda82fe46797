/**
 * The same text in memory of its own, one byte a character: not a part of another, which it would keep with all that is in
 * that, nor a tree of the texts that it was joined of.
 */
export const ownText = (text: string): string => Buffer.from(text, 'latin1').toString('latin1');
