import assert from 'node:assert';
import { parentPort, workerData } from 'node:worker_threads';
import { InvalidApiDocument } from '../../errors.js';
import { readApiDocument, type ParsedApi } from './read-api-document.js';

/** What the worker tells, in this order: that it has loaded and begins, then what came of it. */
export type WorkerAnswer =
  | { readonly begins: true }
  | { readonly api: ParsedApi }
  | { readonly refused: InvalidApiDocument['facts'] };

const port = parentPort;
const text: unknown = workerData;
assert(port && typeof text === 'string', 'runs in a worker thread, over a text');

const answer = (message: WorkerAnswer) => port.postMessage(message);

answer({ begins: true });
try {
  answer({ api: await readApiDocument(text) });
} catch (error) {
  if (!(error instanceof InvalidApiDocument)) throw error;
  answer({ refused: error.facts });
}
