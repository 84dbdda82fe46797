import assert from 'node:assert';
import { createRequire } from 'node:module';
import { dirname, join, sep } from 'node:path';
import { parentPort } from 'node:worker_threads';
import { creditNoteDocument } from './credit-note-document.js';
import type { CreditNote } from './credit-notes.repository.js';
import type { Node } from './document-parts.js';
import { invoiceDocument } from './invoice-document.js';
import type { Invoice } from './invoice-rows.js';

interface PdfMake {
  setFonts(fonts: Readonly<Record<string, Readonly<Record<string, string>>>>): void;
  setUrlAccessPolicy(mayFetch: (url: string) => boolean): void;
  setLocalAccessPolicy(mayRead: (path: string) => boolean): void;
  createPdf(document: Node): { getBuffer(): Promise<Buffer> };
}

const require = createRequire(import.meta.url);
const pdfmake = require('pdfmake') as PdfMake;
const FONTS = join(dirname(require.resolve('pdfmake/package.json')), 'fonts');
const roboto = (face: string) => join(FONTS, 'Roboto', `Roboto-${face}.ttf`);

pdfmake.setFonts({
  Roboto: {
    normal: roboto('Regular'),
    bold: roboto('Medium'),
    italics: roboto('Italic'),
    bolditalics: roboto('MediumItalic'),
  },
});
pdfmake.setUrlAccessPolicy(() => false);
pdfmake.setLocalAccessPolicy((path) => path.startsWith(FONTS + sep));

/** What the thread is given. */
export type PdfJob =
  | { readonly kind: 'invoice'; readonly of: Invoice }
  | { readonly kind: 'credit-note'; readonly of: CreditNote };

assert(parentPort, 'This file is a thread.');
const port = parentPort;
// What goes wrong ends the thread, which tells whoever waits for the document.
port.on('message', (job: PdfJob) => {
  const document = job.kind === 'invoice' ? invoiceDocument(job.of) : creditNoteDocument(job.of);
  void pdfmake
    .createPdf(document)
    .getBuffer()
    .then((bytes) => port.postMessage(bytes, []));
});
