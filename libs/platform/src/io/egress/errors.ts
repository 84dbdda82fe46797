/** Why a request to the outside has no answer: a class, never the text of a socket, which tells what is inside. */
export type EgressFault =
  'url-refused' | 'address-refused' | 'dns' | 'connect' | 'tls' | 'timeout' | 'no-answer';

/** A request to the outside that got no answer. */
export class EgressFailure extends Error {
  constructor(
    readonly fault: EgressFault,
    options?: ErrorOptions,
  ) {
    super(`A request to the outside failed: ${fault}.`, options);
  }
}
