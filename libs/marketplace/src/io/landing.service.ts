import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import {
  AgreementTaken,
  ClaimRefused,
  MarketplaceUnavailable,
  RegistrationTokenRefused,
} from '@core/marketplace';
import { CustomersService } from '@io/identity';
import { NotFound, SystemClock } from '@io/platform';
import { AgreementsService } from './agreements.service.js';
import type { Agreement } from './agreements.repository.js';
import { MarketplaceClient, type ResolvedBuyer } from './marketplace-client.js';
import { MARKETPLACE } from './change-agreement.js';
import { NoticesRepository } from './notices.repository.js';
import { claimHash } from './sealing.repository.js';

/** As long as AWS answers a token. */
const CLAIM_HOURS = 4;

/** What a buyer who came from the marketplace is shown. */
export interface Arrival {
  readonly productName: string;
  readonly state: string;
  /** What proves, for four hours, that the agreement is theirs; null when it belongs to a customer already. */
  readonly claim: string | null;
}

/** A customer who signed up. The token is answered once. */
export interface SignedUp {
  readonly customerId: string;
  readonly state: string;
  readonly token: string;
}

/** How buyers who come from the marketplace become customers. */
@Injectable()
export class LandingService {
  constructor(
    private readonly marketplace: MarketplaceClient,
    private readonly notices: NoticesRepository,
    private readonly agreements: AgreementsService,
    private readonly customers: CustomersService,
    private readonly clock: SystemClock,
  ) {}

  /**
   * Finds whose a registration token is, and notes the agreement. That is no subscription yet: access starts when the
   * marketplace says so. Throws `RegistrationTokenRefused` or `MarketplaceUnavailable`.
   */
  async arrive(
    token: string,
    { isFreeTrial }: { readonly isFreeTrial: boolean },
  ): Promise<Arrival> {
    const buyer = await this.resolve(token);
    const product = await this.notices.product(buyer.productCode);
    if (!product) throw new NotFound('marketplace product', buyer.productCode);
    const claim = randomBytes(24).toString('base64url');
    const expiresAt = new Date(this.clock.nowMs() + CLAIM_HOURS * 3_600_000);
    const held = { hash: claimHash(claim), expiresAt };
    const { customerId, state } = await this.notices.arrive(product, buyer, held, isFreeTrial);
    return { productName: product.name, state, claim: customerId === null ? claim : null };
  }

  /**
   * Makes a customer of who holds a claim, with a token. A claim is good once.
   * Throws `ClaimRefused`.
   */
  async signUp(
    claim: string,
    customer: { readonly name: string; readonly email: string | null },
  ): Promise<SignedUp> {
    const agreement = await this.notices.claimed(claimHash(claim), this.clock.now());
    if (!agreement || agreement.customerId !== null) throw new ClaimRefused();
    const { accountId, id, state } = agreement;
    const scope = { accountId, principalId: MARKETPLACE };
    const { id: customerId } = await this.customers.create(scope, customer);
    try {
      await this.agreements.assign(scope, id, { customerId });
    } catch (error) {
      if (!(error instanceof AgreementTaken)) throw error;
      // Somebody with the same claim was faster.
      await this.customers.delete(scope, customerId);
      throw new ClaimRefused();
    }
    const { value: token } = await this.customers.createToken(scope, customerId, {
      name: 'AWS Marketplace',
      expiresAt: null,
    });
    return { customerId, state, token };
  }

  /** Gives the agreement of a claim to a customer who is there already. Throws `ClaimRefused`. */
  async claim(scope: Scope, claim: string, customerId: string): Promise<Agreement> {
    const agreement = await this.notices.claimed(claimHash(claim), this.clock.now());
    if (!agreement || agreement.accountId !== scope.accountId) throw new ClaimRefused();
    if (agreement.customerId !== null) throw new ClaimRefused();
    return this.agreements.assign(scope, agreement.id, { customerId });
  }

  private async resolve(token: string): Promise<ResolvedBuyer> {
    try {
      return await this.marketplace.resolve(token);
    } catch (error) {
      const name = error instanceof Error ? error.name : '';
      if (name === 'InvalidTokenException' || name === 'ExpiredTokenException')
        throw new RegistrationTokenRefused(name === 'ExpiredTokenException');
      throw new MarketplaceUnavailable({ cause: error });
    }
  }
}
