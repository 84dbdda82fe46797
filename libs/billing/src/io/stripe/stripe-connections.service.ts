import { Injectable } from '@nestjs/common';
import { StripeNotConnected } from '@core/billing';
import type { Scope } from '@core/identity';
import { BusinessClock, InvalidRequest, NotFound, SystemClock } from '@io/platform';
import { asked, StripeClients } from './stripe-client.js';
import {
  isLiveKey,
  StripeConnectionsRepository,
  type OpenStripeConnection,
  type StripeConnection,
  type StripeSettings,
} from './stripe-connections.repository.js';
import type { Stripe } from 'stripe';

/** What is asked of a connection. */
export interface StripeRequest extends Omit<StripeSettings, 'key'> {
  readonly secretKey?: string;
}

/** An account's Stripe, to be called. */
export interface StripeAccount extends OpenStripeConnection {
  readonly stripe: Stripe;
}

/** Which Stripe account collects for an account, and with what key. */
@Injectable()
export class StripeConnectionsService {
  constructor(
    private readonly connections: StripeConnectionsRepository,
    private readonly clients: StripeClients,
    private readonly clock: BusinessClock,
    private readonly systemClock: SystemClock,
  ) {}

  async get(scope: Scope): Promise<StripeConnection> {
    const connection = await this.connections.find(scope);
    if (!connection) throw new NotFound('connection', 'stripe');
    return connection;
  }

  /** Sets what is given. A key is asked at Stripe whose it is. Throws `StripeRefused`, `StripeUnavailable`, `StripeNotConnected`. */
  async connect(
    scope: Scope,
    { secretKey, ...settings }: StripeRequest,
  ): Promise<StripeConnection> {
    const key = secretKey === undefined ? undefined : await this.checkKey(scope, secretKey);
    const now = this.systemClock.now();
    const businessNow = await this.clock.now(scope.accountId);
    const saved = await this.connections.save(
      scope,
      { ...settings, ...(key && { key }) },
      { now, businessNow },
    );
    if (saved === 'no-key') throw new StripeNotConnected();
    if (saved === 'other-account') {
      throw keyFault('is of another account of Stripe: delete the connection first');
    }
    return saved;
  }

  disconnect(scope: Scope): Promise<void> {
    return this.connections.delete(scope);
  }

  /** Throws `StripeNotConnected`. */
  async open(accountId: string): Promise<StripeAccount> {
    const connection = await this.connections.open(accountId);
    if (!connection) throw new StripeNotConnected();
    return { ...connection, stripe: await this.clients.of(connection.secretKey) };
  }

  private async checkKey(
    scope: Scope,
    secret: string,
  ): Promise<{ secret: string; stripeAccountId: string }> {
    const isTest = await this.connections.isTestMode(scope);
    if (isTest === isLiveKey(secret)) {
      throw keyFault(
        `must be a ${isTest ? 'test' : 'live'} key: the account is in ${isTest ? 'test' : 'live'} mode`,
      );
    }
    const client = await this.clients.of(secret);
    const account = await asked('account', () => client.accounts.retrieveCurrent());
    return { secret, stripeAccountId: account.id };
  }
}

const keyFault = (detail: string) => new InvalidRequest([{ pointer: '/secretKey', detail }]);
