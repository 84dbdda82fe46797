import { Breaker } from '@core/limits';
import type { EventListener } from '../events.js';

/** Whether the service answers: stops asking one that does not, and tells each change once. */
export class ServiceHealth {
  private readonly breaker = new Breaker();
  private away = false;

  constructor(private readonly onEvent: EventListener) {}

  get isAway(): boolean {
    return this.away;
  }

  /** Whether to ask now; while the service is away, true once a second. */
  admits(): boolean {
    return this.breaker.admits(performance.now());
  }

  /** It answered. */
  succeeded(): void {
    this.breaker.succeeded();
    if (!this.away) return;
    this.away = false;
    this.onEvent({ type: 'service-back' });
  }

  /** It did not answer, or not in time. */
  failed(error: unknown): void {
    this.breaker.failed(performance.now());
    if (this.away) return;
    this.away = true;
    this.onEvent({
      type: 'service-away',
      cause: error instanceof Error ? error.message : String(error),
    });
  }
}
