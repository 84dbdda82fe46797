import { Module } from '@nestjs/common';
import { AccountsRepository } from './accounts.repository.js';
import { AccountsService } from './accounts.service.js';
import { AuditRepository } from './audit.repository.js';
import { AuditService } from './audit.service.js';
import { Authenticator } from './authenticator.js';
import { CustomersRepository } from './customers.repository.js';
import { CustomersService } from './customers.service.js';
import { FirstAccountService } from './first-account.service.js';
import { GatewaysRepository } from './gateways.repository.js';
import { GatewaysService } from './gateways.service.js';
import { TestClockRepository } from './test-clock.repository.js';
import { TestClockService } from './test-clock.service.js';
import { TokensRepository } from './tokens.repository.js';
import { TokensService } from './tokens.service.js';

@Module({
  providers: [
    AccountsRepository,
    AccountsService,
    AuditRepository,
    AuditService,
    Authenticator,
    CustomersRepository,
    CustomersService,
    FirstAccountService,
    GatewaysRepository,
    GatewaysService,
    TestClockRepository,
    TestClockService,
    TokensRepository,
    TokensService,
  ],
  exports: [
    AccountsService,
    AuditService,
    Authenticator,
    CustomersService,
    GatewaysService,
    TestClockService,
    TokensService,
  ],
})
export class IdentityModule {}
