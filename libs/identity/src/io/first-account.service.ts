import { randomBytes } from 'node:crypto';
import { Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { prefixedId } from '@core/kernel';
import { Config, Database, isUniqueViolation, Keyring } from '@io/platform';
import { TokensRepository } from './tokens.repository.js';

/** Makes what an empty installation needs: one account, and the credentials that the settings fix. */
@Injectable()
export class FirstAccountService implements OnApplicationBootstrap {
  constructor(
    private readonly config: Config,
    private readonly db: Database,
    private readonly keyring: Keyring,
    private readonly tokens: TokensRepository,
  ) {}

  /** Runs at each start of the api; the second time it changes nothing. */
  async onApplicationBootstrap(): Promise<void> {
    const account = await this.account();
    if (this.config.operatorToken) {
      await this.tokens.ensure(
        account.id,
        { kind: 'operator', role: 'owner' },
        this.config.operatorToken,
        'first operator',
      );
    }
    if (this.config.gatewayToken) {
      const gateway = await this.gateway(account.id);
      await this.tokens.ensure(
        account.id,
        { kind: 'gateway', gatewayId: gateway.id },
        this.config.gatewayToken,
        'default gateway',
      );
    }
    if (this.config.accessKey) await this.accessKey(account.id, this.config.accessKey);
  }

  private async account(): Promise<{ id: string }> {
    const mode = this.config.demo ? 'test' : 'live';
    const name = this.config.demo ? 'Demo' : 'Default';
    return this.once(
      () => this.find('SELECT id FROM account WHERE is_default', []),
      () =>
        this.db.account.create({
          data: { id: prefixedId('acc', randomBytes), name, mode, isDefault: true },
        }),
    );
  }

  private async gateway(accountId: string): Promise<{ id: string }> {
    return this.once(
      () =>
        this.find("SELECT id FROM gateway WHERE account_id = $1 AND name = 'default'", [accountId]),
      () =>
        this.db.gateway.create({
          data: { id: prefixedId('gw', randomBytes), accountId, name: 'default' },
        }),
    );
  }

  private async accessKey(
    accountId: string,
    { id, secret }: { id: string; secret: string },
  ): Promise<void> {
    const sealed = this.keyring.seal(secret, {
      table: 'access_key',
      column: 'secret',
      accountId,
      rowId: id,
    });
    await this.once(
      () => this.find('SELECT id FROM access_key WHERE id = $1', [id]),
      () => this.db.accessKey.create({ data: { id, accountId, secret: sealed } }),
    );
  }

  /** Through the driver: a start that finds everything does not wait for Prisma's compiler. */
  private async find(sql: string, values: readonly string[]): Promise<{ id: string } | null> {
    const { rows } = await this.db.pool.query<{ id: string }>(sql, [...values]);
    return rows[0] ?? null;
  }

  /** Finds or makes a row, also when another process makes it at the same moment. */
  private async once<T>(find: () => Promise<T | null>, create: () => Promise<T>): Promise<T> {
    const found = await find();
    if (found) return found;
    try {
      return await create();
    } catch (error) {
      const other = isUniqueViolation(error) ? await find() : null;
      if (other) return other;
      throw error;
    }
  }
}
