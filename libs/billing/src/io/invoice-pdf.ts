import { Worker } from 'node:worker_threads';
import type { CreditNote } from './credit-notes.repository.js';
import type { Invoice } from './invoice-rows.js';
import type { PdfJob } from './invoice-pdf.worker.js';

const DEADLINE_MS = 30_000;
/** Threads at work at once in this process; the others wait their turn. */
const WORKERS_MAX = 2;

/** From the sources (tests, tsx) a few words come first that teach the thread TypeScript; built code needs none. */
const IS_BUILT = import.meta.url.endsWith('.js');
const WORKER = new URL(`./invoice-pdf.worker.${IS_BUILT ? 'js' : 'ts'}`, import.meta.url);
const WORKER_FROM_SOURCE = `import('tsx/esm/api').then((tsx) => (tsx.register(), import('${WORKER.href}')))`;

let atWork = 0;
const waiting: (() => void)[] = [];

/** An invoice as a PDF; the same invoice gives the same bytes. */
export function invoicePdf(invoice: Invoice): Promise<Buffer> {
  return pdf({ kind: 'invoice', of: invoice });
}

/** A credit note as a PDF; the same credit note gives the same bytes. */
export function creditNotePdf(note: CreditNote): Promise<Buffer> {
  return pdf({ kind: 'credit-note', of: note });
}

/**
 * A document is laid out in a thread of its own, since the tenths
 * of a second that takes would otherwise be added to every decision in this process.
 */
async function pdf(job: PdfJob): Promise<Buffer> {
  if (atWork < WORKERS_MAX) atWork += 1;
  else await new Promise<void>((resolve) => void waiting.push(resolve));
  try {
    return await render(job);
  } finally {
    const next = waiting.shift();
    if (next) next();
    else atWork -= 1;
  }
}

async function render(job: PdfJob): Promise<Buffer> {
  const worker = new Worker(IS_BUILT ? WORKER : WORKER_FROM_SOURCE, {
    eval: !IS_BUILT,
    workerData: job,
    execArgv: [],
    env: {},
    resourceLimits: { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 32 },
  });
  let deadline: NodeJS.Timeout | undefined;
  try {
    return await new Promise<Buffer>((resolve, reject) => {
      const fail = (why: string) => reject(new Error(`The PDF of ${job.of.id} ${why}.`));
      deadline = setTimeout(() => fail(`was not ready after ${DEADLINE_MS} ms`), DEADLINE_MS);
      worker.on('message', (bytes: Uint8Array) => resolve(Buffer.from(bytes)));
      worker.on('error', reject);
      worker.on('exit', (code) => fail(`was not made: its thread ended with ${code}`));
    });
  } finally {
    clearTimeout(deadline);
    await worker.terminate();
  }
}
