/**
 * One question at a time: whoever wants something while a question is under way, or in the same tick, is served by
 * the next one, together with all others.
 */
export class Rounds {
  #next: Promise<void> | null = null;
  #running: Promise<void> = Promise.resolve();

  /** `ask` asks for all that is wanted now; `tick` resolves when the calls at hand have said what they want. */
  constructor(
    private readonly ask: () => Promise<void>,
    private readonly tick: () => Promise<void>,
  ) {}

  /** Resolves when a question that begins after this was answered; rejects when that could not be asked. */
  next(): Promise<void> {
    if (this.#next) return this.#next;
    const next = this.#running.then(() => this.#ask());
    this.#next = next;
    this.#running = next.catch(() => undefined);
    return next;
  }

  /** Resolves when no question is under way; never rejects. */
  get idle(): Promise<void> {
    return this.#running;
  }

  async #ask(): Promise<void> {
    await this.tick();
    this.#next = null;
    await this.ask();
  }
}
