import pg from 'pg';

/**
 * A connection that may break while it is checked out, between two statements of a transaction. Without a listener
 * that would end the process; with one, the next statement fails, and whoever sent it tells.
 */
export class Client extends pg.Client {
  constructor(config?: string | pg.ClientConfig) {
    super(config);
    this.on('error', () => undefined);
  }
}
