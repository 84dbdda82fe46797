import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { EXCHANGE_DIRECTIONS, OPEN_EXCHANGES } from '@core/billing';
import { EXCHANGE_TARGETS, ExchangesService } from '@io/billing';
import type { Metric } from './exposition.js';

/** A scrape does not wait longer than this for the database; what it would have told is left out then. */
const DATABASE_MS_MAX = 500;

/** What remote services have not been told yet, and what was heard from them and is not acted on. */
@Injectable()
export class ExchangeMetricsService {
  constructor(private readonly exchanges: ExchangesService) {}

  async metrics(): Promise<Metric[]> {
    const backlog = await Promise.race([
      this.exchanges.backlog().catch(() => null),
      sleep(DATABASE_MS_MAX, null, { ref: false }),
    ]);
    if (!backlog) return [];
    const lanes = EXCHANGE_TARGETS.flatMap((target) =>
      EXCHANGE_DIRECTIONS.map((direction) => ({
        labels: { target, direction },
        rows: backlog.filter((row) => row.target === target && row.direction === direction),
      })),
    );
    return [
      {
        name: 'tollgate_exchanges_open',
        help: 'What a remote service is to be told (out) or was heard from it (in) and is not over, by status.',
        type: 'gauge',
        samples: lanes.flatMap(({ labels, rows }) =>
          OPEN_EXCHANGES.map((status) => ({
            labels: { ...labels, status },
            value: rows.find((row) => row.status === status)?.count ?? 0,
          })),
        ),
      },
      {
        name: 'tollgate_exchange_oldest_seconds',
        help: 'Age of the oldest of them; 0 when there is none. A dead one counts: its money is not where it should be either.',
        type: 'gauge',
        samples: lanes.map(({ labels, rows }) => ({
          labels,
          value: Math.max(0, ...rows.map(({ oldestSeconds }) => oldestSeconds)),
        })),
      },
    ];
  }
}
