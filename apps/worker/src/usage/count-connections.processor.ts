import { Processor, WorkerHost } from '@nestjs/bullmq';
import { RECOVERY } from '@io/platform';
import { ConnectionsService, COUNT_CONNECTIONS } from '@io/metering';

/** Ends connections whose gateway died, and counts their minutes. Runs in any number of workers; each minute counts once. */
@Processor(COUNT_CONNECTIONS, RECOVERY)
export class CountConnectionsProcessor extends WorkerHost {
  constructor(private readonly connections: ConnectionsService) {
    super();
  }

  async process(): Promise<{ connections: number }> {
    return { connections: await this.connections.run() };
  }
}
