import { MemoryStore, SpoolStore, type BatchStore, type StoredBatch } from './batch-store.js';
import { deliverBatch, pause } from './batch-delivery.js';
import { ConnectionLog, type ToldConnections } from './connection-log.js';
import { DecisionLog } from './decision-log.js';
import { newEpoch } from './epoch.js';
import type { EventListener } from '../events.js';
import type { ServiceClient } from '../service/service-client.js';
import {
  BATCH_RECORDS_MAX,
  UsageAggregator,
  batchBody,
  type MeteredCall,
  type MeteredTraffic,
} from './usage.js';

/** What a reporter is made of. */
export interface ReporterOptions {
  readonly client: ServiceClient;
  readonly onEvent: EventListener;
  /** Where the calls are that it decides on. */
  readonly place: { readonly apiId: string; readonly stage: string };
  /** How often open records become a batch. */
  readonly intervalMs: number;
  /** A folder for unsent batches; without one they are in memory. */
  readonly spoolDir?: string | undefined;
  readonly aggregator?: UsageAggregator;
}

/**
 * Turns calls into numbered batches and sends them one after the other until each is acknowledged.
 *
 *     call ─▶ open records ──every second──▶ numbered batch ─▶ store ─▶ service ─▶ gone
 *
 * In memory at most one batch is numbered and unsent: what comes meanwhile merges in the open records, so an outage
 * costs memory by the minute and not by the call. With a spool every second's batch goes to disk.
 */
export class UsageReporter {
  private readonly aggregator: UsageAggregator;
  /** What is told of connections, in the same batches. */
  readonly connections: ConnectionLog;
  /** What it allowed by itself, in the same batches. */
  readonly decisions: DecisionLog;
  /** Of all batches of this reporter; names the process. */
  readonly epoch: string;
  private readonly stop = new AbortController();
  private readonly timer: NodeJS.Timeout;
  private store: BatchStore | undefined;
  private nextSequence = 0;
  /** Numbered, but the store could not take it yet. */
  private unstored: { batch: StoredBatch; body: string; records: number } | undefined;
  private cutting: Promise<boolean> | undefined;
  private sending: Promise<void> | undefined;

  constructor(private readonly options: ReporterOptions) {
    this.aggregator = options.aggregator ?? new UsageAggregator();
    this.epoch = newEpoch(Date.now());
    this.connections = new ConnectionLog(() => options.client.clock.now());
    this.decisions = new DecisionLog(options.place, () => performance.now());
    this.timer = setInterval(() => void this.tick(), options.intervalMs);
    this.timer.unref();
    if (options.spoolDir !== undefined) void this.tick();
  }

  /** Counts a call or a message that passed. */
  record(usage: MeteredCall | MeteredTraffic): void {
    if (!this.aggregator.add(usage)) this.options.onEvent({ type: 'usage-dropped', calls: 1 });
  }

  /** Sends what is open. Resolves when all of it is acknowledged or set aside, or when the reporter is closed. */
  async flush(): Promise<void> {
    while (this.hasUnsent() && !this.stop.signal.aborted) {
      this.decisions.hurry();
      const isStored = await this.tick();
      if (!isStored) await pause(this.options.intervalMs, this.stop.signal);
    }
  }

  /** Sends the rest and stops. What is unsent after `timeoutMs` is told in an event, and stays in the spool. */
  async close(timeoutMs: number): Promise<void> {
    clearInterval(this.timer);
    const deadline = setTimeout(() => this.stop.abort(), timeoutMs);
    await this.flush();
    clearTimeout(deadline);
    this.stop.abort();
    await this.sending;
    if (!this.hasUnsent()) return;
    const records = this.aggregator.size + this.connections.waiting + (this.unstored?.records ?? 0);
    const isSpooled = records === 0 && this.store?.isDurable === true;
    this.options.onEvent({ type: 'usage-unsent', records, isSpooled });
  }

  private hasUnsent(): boolean {
    return (
      this.aggregator.size > 0 ||
      this.connections.waiting > 0 ||
      this.decisions.hasUntold ||
      this.unstored !== undefined ||
      this.store?.first() !== undefined ||
      (this.store === undefined && this.options.spoolDir !== undefined)
    );
  }

  /** Cuts and sends. False when the store is in trouble. */
  private async tick(): Promise<boolean> {
    this.cutting ??= this.cut().finally(() => (this.cutting = undefined));
    const isStored = await this.cutting;
    this.sending ??= this.send().finally(() => (this.sending = undefined));
    await this.sending;
    return isStored;
  }

  /** Numbers what is open: all of it into a spool, one batch into memory and only when that is empty. */
  private async cut(): Promise<boolean> {
    try {
      const store = (this.store ??= await this.openStore());
      for (;;) {
        this.unstored ??= this.nextBatch(store);
        if (this.unstored === undefined) return true;
        await store.put(this.unstored.batch, this.unstored.body);
        this.unstored = undefined;
      }
    } catch (error) {
      this.options.onEvent({ type: 'spool-failed', cause: messageOf(error) });
      return false;
    }
  }

  private nextBatch(store: BatchStore): typeof this.unstored {
    if (!store.isDurable && store.first() !== undefined) return undefined;
    const records = this.aggregator.take(BATCH_RECORDS_MAX);
    const connections = this.connections.take();
    const decisions = this.decisions.take();
    if (records.length === 0 && connections === undefined && decisions === undefined)
      return undefined;
    const batch = { epoch: this.epoch, sequence: this.nextSequence };
    this.nextSequence += 1;
    const body = batchBody(batch.epoch, batch.sequence, records, { connections, decisions });
    const events = (connections?.opened.length ?? 0) + (connections?.closed.length ?? 0);
    return { batch, body, records: records.length + events };
  }

  /** Sends what is stored, one batch in flight, so that numbers arrive in order. */
  private async send(): Promise<void> {
    try {
      for (let batch = this.store?.first(); batch !== undefined; batch = this.store?.first()) {
        if (!(await this.deliver(batch))) return;
      }
    } catch (error) {
      // A batch leaves the store only after its acknowledgement: it is sent again with the next tick.
      this.options.onEvent({ type: 'spool-failed', cause: messageOf(error) });
    }
  }

  private async deliver(batch: StoredBatch): Promise<boolean> {
    const { store } = this;
    if (store === undefined) return false;
    const body = await store.read(batch);
    const { sequence } = batch;
    const delivery = await deliverBatch(this.options.client, body, {
      signal: this.stop.signal,
      onDelay: (tries, cause) =>
        this.options.onEvent({ type: 'batch-delayed', sequence, tries, cause }),
    });
    switch (delivery.outcome) {
      case 'stopped':
        return false;
      case 'accepted':
      case 'duplicate':
        await store.remove(batch);
        if (delivery.quarantined !== null)
          this.options.onEvent({ type: 'usage-quarantined', ...batch, ...delivery.quarantined });
        return true;
      case 'conflict':
      case 'refused':
        await store.setAside(batch);
        if (batch.epoch === this.epoch) this.retell(body);
        this.options.onEvent({
          type: delivery.outcome === 'conflict' ? 'batch-conflict' : 'batch-refused',
          ...batch,
          status: delivery.status,
          answer: delivery.answer,
          body,
        });
        return true;
    }
  }

  private retell(body: string): void {
    const { connections }: { connections?: ToldConnections } = JSON.parse(body);
    if (connections !== undefined) this.connections.refused(connections);
  }

  private openStore(): Promise<BatchStore> | BatchStore {
    const { spoolDir } = this.options;
    return spoolDir === undefined ? new MemoryStore() : SpoolStore.open(spoolDir);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
