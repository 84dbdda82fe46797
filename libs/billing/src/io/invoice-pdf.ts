import { Worker } from 'node:worker_threads';
import type { CreditNote } from './credit-notes.repository.js';
import type { Invoice } from './invoice-rows.js';
import type { PdfJob } from './invoice-pdf.worker.js';

const DEADLINE_MS = 30_000;
/** Threads at work at once in this process; who comes then waits for a turn. */
const THREADS_MAX = 2;
/** How long a thread waits for the next document: beginning one costs as much as several documents. */
const IDLE_MS = 30_000;

/** From the sources (tests, tsx) a few words come first that teach the thread TypeScript; built code needs none. */
const IS_BUILT = import.meta.url.endsWith('.js');
const WORKER = new URL(`./invoice-pdf.worker.${IS_BUILT ? 'js' : 'ts'}`, import.meta.url);
const WORKER_FROM_SOURCE = `import('tsx/esm/api').then((tsx) => (tsx.register(), import('${WORKER.href}')))`;

/** An invoice as a PDF; the same invoice gives the same bytes. */
export function invoicePdf(invoice: Invoice): Promise<Buffer> {
  return pdf({ kind: 'invoice', of: invoice });
}

/** A credit note as a PDF; the same credit note gives the same bytes. */
export function creditNotePdf(note: CreditNote): Promise<Buffer> {
  return pdf({ kind: 'credit-note', of: note });
}

/**
 * Lays documents out, one after the other, since the tenths of a second that takes would otherwise be added to every decision in
 * this process. Keeps no process alive.
 */
class PdfThread {
  /** Whether it has died. */
  isGone = false;
  private readonly worker: Worker;
  private end: NodeJS.Timeout | undefined;

  constructor() {
    this.worker = new Worker(IS_BUILT ? WORKER : WORKER_FROM_SOURCE, {
      eval: !IS_BUILT,
      execArgv: [],
      env: {},
      resourceLimits: { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 32 },
    });
    // It may also die when nobody waits for it.
    this.worker.on('error', () => undefined).on('exit', () => (this.isGone = true));
  }

  /** Rejects when the thread has died of it, or took too long; then it is of no use any more. */
  async render(job: PdfJob): Promise<Buffer> {
    clearTimeout(this.end);
    const { worker } = this;
    worker.ref();
    let stopListening: (() => void) | undefined;
    try {
      return await new Promise<Buffer>((resolve, reject) => {
        const fail = (why: string) => reject(new Error(`The PDF of ${job.of.id} ${why}.`));
        const deadline = setTimeout(
          () => fail(`was not ready after ${DEADLINE_MS} ms`),
          DEADLINE_MS,
        );
        const onMessage = (bytes: Uint8Array) => resolve(Buffer.from(bytes));
        const onExit = (code: number) => fail(`was not made: its thread ended with ${code}`);
        worker.on('message', onMessage).on('error', reject).on('exit', onExit);
        stopListening = () => {
          clearTimeout(deadline);
          worker.off('message', onMessage).off('error', reject).off('exit', onExit);
        };
        worker.postMessage(job, []);
      });
    } finally {
      stopListening?.();
      worker.unref();
    }
  }

  /** Ends it when nobody needs it for a while. */
  rest(isOver: () => void): void {
    this.end = setTimeout(() => {
      isOver();
      void this.stop();
    }, IDLE_MS).unref();
  }

  async stop(): Promise<void> {
    await this.worker.terminate();
  }
}

const idle: PdfThread[] = [];
const waiting: (() => void)[] = [];
let atWork = 0;

async function pdf(job: PdfJob): Promise<Buffer> {
  if (atWork < THREADS_MAX) atWork += 1;
  else await new Promise<void>((resolve) => void waiting.push(resolve));
  const rested = idle.pop();
  const thread = rested && !rested.isGone ? rested : new PdfThread();
  try {
    const bytes = await thread.render(job);
    idle.push(thread);
    thread.rest(() => void idle.splice(idle.indexOf(thread), 1));
    return bytes;
  } catch (error) {
    await thread.stop();
    throw error;
  } finally {
    const next = waiting.shift();
    if (next) next();
    else atWork -= 1;
  }
}
