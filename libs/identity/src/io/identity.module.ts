import { Module } from '@nestjs/common';
import { Authenticator } from './authenticator.js';
import { FirstAccountService } from './first-account.service.js';
import { TokensRepository } from './tokens.repository.js';

@Module({
  providers: [Authenticator, FirstAccountService, TokensRepository],
  exports: [Authenticator],
})
export class IdentityModule {}
