import type pg from 'pg';

/** `COPY … FROM STDIN`, and its rows as it takes them. */
export interface Copy {
  readonly statement: string;
  readonly rows: Uint8Array;
}

const COPY_DATA = 0x64;
const COPY_DONE = Buffer.from([0x63, 0, 0, 0, 4]);

/**
 * Runs a statement and then COPYs, in one transaction and one round trip: statements that are sent together are one
 * transaction, and the rows are sent behind them before the database asks for them. Where it fails, it drops what it
 * has not read of them (PostgreSQL, "Message Flow", COPY operations). When it returns, all is committed and the rows' bytes
 * may be used anew; when it throws, nothing is.
 */
export async function copyTogether(
  pool: pg.Pool,
  first: string,
  copies: readonly Copy[],
): Promise<void> {
  const client = await pool.connect();
  try {
    await new Promise<void>((resolve, reject) => {
      client.query(new TogetherQuery(first, copies, resolve, reject));
    });
  } finally {
    client.release();
  }
}

/** As the driver asks it. */
class TogetherQuery implements pg.Submittable {
  constructor(
    private readonly first: string,
    private readonly copies: readonly Copy[],
    private readonly resolve: () => void,
    private readonly reject: (error: Error) => void,
  ) {}

  submit(connection: pg.Connection): void {
    const { stream } = connection;
    stream.cork();
    connection.query([this.first, ...this.copies.map(({ statement }) => statement)].join('; '));
    for (const { rows } of this.copies) {
      const head = Buffer.alloc(5);
      head.writeUInt8(COPY_DATA, 0);
      head.writeInt32BE(4 + rows.length, 1);
      stream.write(head);
      stream.write(rows);
      stream.write(COPY_DONE);
    }
    stream.uncork();
  }

  handleReadyForQuery(): void {
    this.resolve();
  }

  handleError(error: Error): void {
    this.reject(error);
  }

  handleCopyInResponse(): void {
    // The rows are on their way.
  }

  handleCommandComplete(): void {
    // Of each statement; the last is followed by `handleReadyForQuery`.
  }
}
