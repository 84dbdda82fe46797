import { WorkerHost } from '@nestjs/bullmq';
import { Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { DiscoveryService } from '@nestjs/core';
import { Queue } from 'bullmq';
import { Config } from '../config/config.js';

/**
 * Lets a process begin only when every queue and worker of it has reached the Postgres that keeps them, and makes it
 * fail otherwise, so that whoever started it starts it again. BullMQ asks for its schema once and remembers a refusal:
 * a process that began while Postgres was killed would add or take no job until its end.
 */
@Injectable()
export class QueuesReady implements OnApplicationBootstrap {
  constructor(
    private readonly discovery: DiscoveryService,
    private readonly config: Config,
  ) {}

  async onApplicationBootstrap(): Promise<void> {
    // A Redis that is away is waited for by each command, and decisions do not wait for it.
    if (this.config.redis) return;
    const instances: unknown[] = this.discovery.getProviders().map(({ instance }) => instance);
    await Promise.all(
      instances.map(async (instance) => {
        if (instance instanceof Queue) await instance.waitUntilReady();
        else if (instance instanceof WorkerHost) await instance.worker.waitUntilReady();
      }),
    );
  }
}
