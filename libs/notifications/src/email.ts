import { UnsafeHeader } from './errors.js';

/** A message to one address, in both forms. */
export interface Email {
  readonly recipient: string;
  readonly subject: string;
  readonly text: string;
  readonly html: string;
}

const SUBJECT_MAX = 200;
const RECIPIENT = /^[^\s@,;<>"]{1,64}@[^\s@,;<>"]{1,189}$/;
const CONTROL = /\p{Cc}|[\u2028\u2029]/u;

/**
 * Composes a message of paragraphs, as plain text and as HTML without anything that could be switched on in it.
 * Throws `UnsafeHeader` for a recipient or subject that would be more than one line of a header.
 */
export function composeEmail({
  recipient,
  subject,
  paragraphs,
}: {
  readonly recipient: string;
  readonly subject: string;
  readonly paragraphs: readonly string[];
}): Email {
  if (!isRecipient(recipient)) throw new UnsafeHeader('recipient');
  if (CONTROL.test(subject)) throw new UnsafeHeader('subject');
  const html = paragraphs.map((text) => `<p>${escapeHtml(text).replaceAll('\n', '<br>')}</p>`);
  return {
    recipient,
    subject: subject.slice(0, SUBJECT_MAX),
    text: `${paragraphs.join('\n\n')}\n`,
    html: `<!doctype html>\n<html lang="en"><body>${html.join('\n')}</body></html>\n`,
  };
}

/** Whether a text is one address and nothing else. */
export function isRecipient(text: string): boolean {
  return !CONTROL.test(text) && RECIPIENT.test(text);
}

function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;');
}
