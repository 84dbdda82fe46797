/**
 * Stops asking a service that does not answer, so that its deadline is not paid by every call.
 *
 *     closed ──5 failures in a row──▶ open ──1 s──▶ one probe ──answered──▶ closed
 *                                      ▲               │
 *                                      └────failed─────┘
 */
export class Breaker {
  private failures = 0;
  private retryAt = 0;

  constructor(
    private readonly failuresMax = 5,
    private readonly pauseMs = 1_000,
  ) {}

  /** Whether to ask now. While open, true once per pause: that call is the probe. */
  admits(now: number): boolean {
    if (this.failures < this.failuresMax) return true;
    if (now < this.retryAt) return false;
    this.retryAt = now + this.pauseMs;
    return true;
  }

  /** The service answered. */
  succeeded(): void {
    this.failures = 0;
  }

  /** The service did not answer. */
  failed(now: number): void {
    this.failures += 1;
    if (this.failures >= this.failuresMax) this.retryAt = now + this.pauseMs;
  }
}
