import { Injectable } from '@nestjs/common';
import type { MeteredUsage } from '@core/billing';
import { decimal, type Period } from '@core/kernel';
import { Database } from '@io/platform';

interface Row {
  meter: string;
  protocol: MeteredUsage['protocol'];
  quantity: string;
}

@Injectable()
export class UsageService {
  constructor(private readonly db: Database) {}
  async rollUpNow(_accountId: string): Promise<void> {}
  async periodUsage(q: {
    accountId: string;
    customerId: string;
    usagePlanId: string;
    period: Period;
  }): Promise<MeteredUsage[]> {
    const rows = await this.db.$queryRaw<Row[]>`
      SELECT u.meter, a.protocol, sum(u.quantity)::text AS quantity FROM usage_hour u LEFT JOIN api a ON a.id = u.api_id
      WHERE u.account_id = ${q.accountId} AND u.customer_id = ${q.customerId} AND u.usage_plan_id = ${q.usagePlanId}
        AND u.hour >= ${q.period.from} AND u.hour < ${q.period.to} GROUP BY 1, 2`;
    return rows.map((row) => ({ ...row, quantity: decimal(row.quantity) }));
  }
}
