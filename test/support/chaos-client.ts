import { setTimeout as sleep } from 'node:timers/promises';
import type { Answer, TestApi } from './api.js';

const DEADLINE_MS = 3_000;
const PAUSE_MS = 25;

/** A batch as it was sent, whatever became of it. */
export interface SentBatch {
  readonly body: {
    readonly epoch: string;
    readonly sequence: number;
    readonly records: readonly {
      readonly keyId: string;
      readonly resourcePath: string;
      readonly quantities: Readonly<Record<string, string>>;
    }[];
  };
  /** It was answered with 200 or 201. */
  isAcknowledged: boolean;
}

/** What a key was allowed, as far as its gateway heard. */
export interface Spending {
  allowed: number;
  /** A call was refused because nothing was left. */
  isExhausted: boolean;
}

/** A gateway that goes on while the service dies around it: it asks again until it is answered. */
export class ChaosClient {
  readonly batches: SentBatch[] = [];
  readonly spending = new Map<string, Spending>();
  /** Answers that nobody may give, such as a 401 or a batch that was forgotten after its acknowledgement. */
  readonly wrong: string[] = [];

  constructor(
    private readonly call: TestApi['call'],
    private readonly token: string,
  ) {}

  /** Sends a batch until it is acknowledged, or, as a gateway that dies, `attempts` times. */
  async send(body: SentBatch['body'], attempts = Infinity): Promise<SentBatch> {
    const sent: SentBatch = { body, isAcknowledged: false };
    this.batches.push(sent);
    for (let attempt = 0; attempt < attempts && !sent.isAcknowledged; attempt += 1) {
      const answer = await this.ask('/v1/usage/batches', body);
      if (answer && answer.status < 300) sent.isAcknowledged = true;
      else await sleep(PAUSE_MS);
    }
    return sent;
  }

  /** Sends what was acknowledged once more: it has to be known. */
  async sendAgain({ body }: SentBatch): Promise<void> {
    for (;;) {
      const answer = await this.ask('/v1/usage/batches', body);
      if (answer && answer.status < 300) {
        if (answer.body['duplicate'] !== true) {
          this.wrong.push(`batch ${body.sequence} of ${body.epoch} was acknowledged and forgotten`);
        }
        return;
      }
      await sleep(PAUSE_MS);
    }
  }

  /** Asks for one call; tells whether the quota is used up. */
  async decide(of: { apiKey: string; apiId: string; stage: string }): Promise<boolean> {
    const { apiKey, apiId, stage } = of;
    const spending = this.spending.get(apiKey) ?? { allowed: 0, isExhausted: false };
    this.spending.set(apiKey, spending);
    const call = { apiKey, apiId, stage, method: 'GET', path: '/pets', sourceIp: '203.0.113.7' };
    const answer = await this.ask('/v1/decisions', call);
    if (answer?.status === 200 && answer.body['allowed'] === true) spending.allowed += 1;
    else if (answer?.body['reason'] === 'quota-exceeded') spending.isExhausted = true;
    else await sleep(PAUSE_MS);
    return spending.isExhausted;
  }

  /** Null when there is no answer, which is what a gateway has to live with; 5xx says the same. */
  private async ask(path: string, body: unknown): Promise<Answer | null> {
    const asked = this.call('POST', path, { token: this.token, body });
    const answer = await Promise.race([
      asked.catch(() => null),
      sleep(DEADLINE_MS, null, { ref: false }),
    ]);
    if (answer && answer.status >= 300 && answer.status < 500) {
      this.wrong.push(`${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    }
    return answer;
  }
}
