import { Module } from '@nestjs/common';
import { IdentityModule } from '@io/identity';
import { AuditController } from '../audit/audit.controller.js';
import { CustomersController } from '../customers/customers.controller.js';
import { TestClockController } from '../test-clock/test-clock.controller.js';
import { AccountsController } from './accounts.controller.js';
import { GatewaysController } from './gateways.controller.js';
import { TokensController } from './tokens.controller.js';

/** The routes of accounts and whoever acts in them. */
@Module({
  imports: [IdentityModule],
  controllers: [
    AccountsController,
    TokensController,
    GatewaysController,
    CustomersController,
    TestClockController,
    AuditController,
  ],
})
export class IdentityApiModule {}
