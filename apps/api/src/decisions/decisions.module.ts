import { Module } from '@nestjs/common';
import { PolicyCache, PolicyRepository } from '@io/catalog';
import { IdentityModule } from '@io/identity';
import {
  DecisionService,
  PolicySource,
  QuotaAuthority,
  QuotaBlocks,
  QuotaSpendRepository,
} from '@io/limits';
import { DecisionListener } from './decision.listener.js';
import { ForwardAuthListener } from './forward-auth.listener.js';

/** May this call pass? Joins the limits with the catalogue, which says what a key may do, and with their authority. */
@Module({
  imports: [IdentityModule],
  providers: [
    DecisionListener,
    ForwardAuthListener,
    DecisionService,
    QuotaBlocks,
    PolicyRepository,
    { provide: PolicySource, useClass: PolicyCache },
    { provide: QuotaAuthority, useClass: QuotaSpendRepository },
  ],
  exports: [DecisionService],
})
export class DecisionsModule {}
