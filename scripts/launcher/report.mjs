// @ts-check
/** Says what is going on, to a person at a terminal or to a log. */
import { errorMessage } from '../files.mjs';

/** A reason to stop that the reader can act on: its message is one complete sentence and is all that is shown. */
export class Refusal extends Error {}

const FRAMES = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const FRAME_MS = 100;
const REMINDER_SECONDS = 10;

/**
 * Does the work under a title: with a spinner and the seconds on a terminal, in plain lines elsewhere.
 *
 * @template T
 * @param {string} title for example "Installing packages"
 * @param {(note: (text: string) => void) => Promise<T> | T} work `note` adds what is happening right now
 * @returns {Promise<T>}
 */
export async function step(title, work) {
  const startedAt = Date.now();
  const seconds = () => Math.round((Date.now() - startedAt) / 1000);
  const { isTTY } = process.stdout;
  let current = title;
  let frame = 0;
  if (!isTTY) console.log(`${title} …`);
  const timer = isTTY
    ? setInterval(() => {
        frame = (frame + 1) % FRAMES.length;
        process.stdout.write(`\r\u001B[K${FRAMES[frame]} ${current} … ${seconds()} s`);
      }, FRAME_MS)
    : setInterval(() => console.log(`  still at it after ${seconds()} s`), REMINDER_SECONDS * 1000);
  const end = (/** @type {string} */ mark) => {
    clearInterval(timer);
    const took = ((Date.now() - startedAt) / 1000).toFixed(1);
    if (isTTY) process.stdout.write(`\r\u001B[K${mark} ${title} (${took} s)\n`);
    else console.log(`  ${mark} ${took} s`);
  };
  try {
    const result = await work((text) => {
      current = text;
      if (!isTTY) console.log(`  ${text}`);
    });
    end('✓');
    return result;
  } catch (error) {
    end('✗');
    throw error;
  }
}

/**
 * Shows why it did not work: the sentence of a refusal, everything of a bug.
 *
 * @param {unknown} error
 */
export function showFailure(error) {
  const isRefusal = error instanceof Refusal || (error instanceof Error && 'isRefusal' in error);
  console.error(`\n${isRefusal || !(error instanceof Error) ? errorMessage(error) : error.stack}`);
}
