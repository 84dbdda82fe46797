export { IdentityModule } from './identity.module.js';
export { Authenticator } from './authenticator.js';
