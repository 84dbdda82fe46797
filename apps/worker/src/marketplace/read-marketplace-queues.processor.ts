import { Processor, WorkerHost } from '@nestjs/bullmq';
import { QueuesService, READ_MARKETPLACE_QUEUES } from '@io/marketplace';
import { RECOVERY } from '@io/platform';

/** Reads the queues of Amazon SQS that notifications come by. Runs in any number of workers. */
@Processor(READ_MARKETPLACE_QUEUES, RECOVERY)
export class ReadMarketplaceQueuesProcessor extends WorkerHost {
  constructor(private readonly queues: QueuesService) {
    super();
  }

  async process(): Promise<{ messages: number }> {
    return { messages: await this.queues.readAll() };
  }
}
