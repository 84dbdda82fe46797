import { Worker } from 'node:worker_threads';
import { InvalidApiDocument } from '../../errors.js';
import type { WorkerAnswer } from './api-document.worker.js';
import type { ParsedApi } from './read-api-document.js';

/** What one reading may cost. */
export interface ReadingLimits {
  readonly deadlineMs: number;
  readonly heapMiB: number;
}

const BYTES_MAX = 5 * 1024 * 1024;
const LIMITS = { deadlineMs: 5_000, heapMiB: 256 };
/** Importers at work at once in this process; each may fill its heap. */
const WORKERS_MAX = 2;

/**
 * Built code starts its worker directly. From the sources (tests, tsx) a few words come first that teach the thread
 * TypeScript: Node 20 does not hand a loader of the main thread down.
 */
const IS_BUILT = import.meta.url.endsWith('.js');
const WORKER = new URL(`./api-document.worker.${IS_BUILT ? 'js' : 'ts'}`, import.meta.url);
const WORKER_FROM_SOURCE = `import('tsx/esm/api').then((tsx) => (tsx.register(), import('${WORKER.href}')))`;

/**
 * Reads an OpenAPI 3.0, OpenAPI 3.1 or Swagger 2.0 document in JSON or YAML and describes its methods.
 *
 * The text is a stranger's: it is read in a worker thread with 5 s and 256 MiB, at most 5 MiB of text, 64 levels and
 * 20,000 nodes, without aliases, tags, merge keys or references that leave the document. Nothing is ever fetched.
 * Whatever is wrong is refused as `InvalidApiDocument` with its place.
 */
export async function parseApiDocument(
  source: string | Uint8Array,
  limits: ReadingLimits = LIMITS,
): Promise<ParsedApi> {
  if (Buffer.byteLength(source) > BYTES_MAX) throw refusal('is larger than 5 MiB');
  const text = typeof source === 'string' ? source : decodeUtf8(source);
  await takePlace();
  try {
    return await readInWorker(text, limits);
  } finally {
    leavePlace();
  }
}

let workersAtWork = 0;
const waiting: (() => void)[] = [];

/** Takes a place for one worker; who has to wait is handed the place of one that ended, in order of arrival. */
async function takePlace(): Promise<void> {
  if (workersAtWork < WORKERS_MAX) workersAtWork++;
  else await new Promise<void>((resolve) => void waiting.push(resolve));
}

function leavePlace(): void {
  const next = waiting.shift();
  if (next) next();
  else workersAtWork--;
}

/** The deadline starts when the worker has loaded its code, so that a busy machine does not refuse good documents. */
async function readInWorker(text: string, limits: ReadingLimits): Promise<ParsedApi> {
  const { deadlineMs, heapMiB } = limits;
  const worker = new Worker(IS_BUILT ? WORKER : WORKER_FROM_SOURCE, {
    eval: !IS_BUILT,
    workerData: text,
    execArgv: [],
    env: {},
    resourceLimits: { maxOldGenerationSizeMb: heapMiB, maxYoungGenerationSizeMb: 32 },
  });
  let deadline: NodeJS.Timeout | undefined;
  try {
    return await new Promise<ParsedApi>((resolve, reject) => {
      worker.on('message', (answer: WorkerAnswer) => {
        if ('api' in answer) return resolve(answer.api);
        if ('refused' in answer) {
          return reject(new InvalidApiDocument(answer.refused.errors, answer.refused.faultCount));
        }
        const refuse = () => reject(refusal(`takes longer than ${deadlineMs} ms to read`));
        deadline = setTimeout(refuse, deadlineMs);
      });
      worker.on('error', (error: Error & { readonly code?: string }) =>
        reject(
          error.code === 'ERR_WORKER_OUT_OF_MEMORY'
            ? refusal(`needs more than ${heapMiB} MiB of memory to read`)
            : error,
        ),
      );
      worker.on('exit', (code) => reject(new Error(`The API document worker ended with ${code}.`)));
    });
  } finally {
    clearTimeout(deadline);
    await worker.terminate();
  }
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    if (error instanceof TypeError) throw refusal('is not UTF-8 text');
    throw error;
  }
}

function refusal(detail: string): InvalidApiDocument {
  return new InvalidApiDocument([{ pointer: '', detail }]);
}
