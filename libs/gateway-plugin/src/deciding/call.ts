/** One call, as an adapter or the application tells of it. */
export interface Call {
  /** As the client sent it; undefined when it sent none. */
  readonly apiKey: string | undefined;
  /** The HTTP verb, or the route key of a WebSocket message. */
  readonly method: string;
  /** What the client asked for, without its query. One of `path` and `resourcePath` is given. */
  readonly path?: string | undefined;
  /** The api's own template, where it is known. */
  readonly resourcePath?: string | undefined;
  readonly sourceIp?: string | undefined;
  /** Calls that it counts as, a whole number of 0 or more. Default 1. */
  readonly cost?: number | undefined;
  /** Answers the same and consumes nothing. Default false. */
  readonly dryRun?: boolean | undefined;
}

/** A message of a WebSocket: a call of a route key, or of another one where the stage has none of that name. */
export interface RoutedCall extends Call {
  readonly otherwise?: string | undefined;
}
