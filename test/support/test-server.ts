/** The PostgreSQL of one test run, with a migrated database that every test file gets a copy of. */
export interface TestServer {
  /** Of a role that may create databases. */
  readonly adminUrl: string;
  /** Of the role that owns them and that the application uses. */
  readonly ownerUrl: string;
  /** The name of the migrated database. */
  readonly template: string;
}

declare module 'vitest' {
  export interface ProvidedContext {
    /** Handed from the global setup to the test files. */
    testServer: TestServer;
  }
}

/** The same server and role, another database. */
export function withDatabase(connectionString: string, database: string): string {
  const url = new URL(connectionString);
  url.pathname = `/${database}`;
  return url.href;
}
