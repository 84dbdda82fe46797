/** A refusal, as it is documented. */
export const problem = (description: string) => ({
  description,
  content: { 'application/problem+json': { schema: { type: 'object' as const } } },
});

/** What every way in for usage answers to a body that is too large, and when more comes than can be stored. */
export const DOOR_REFUSALS = {
  413: problem(
    'The body is larger than 8 MiB, packed or unpacked, or unpacks to more than 100 times its size.',
  ),
  503: {
    ...problem(
      'More usage came than can be stored at the moment (`ingestion-busy`): send it again.',
    ),
    headers: { 'Retry-After': { schema: { type: 'integer' as const } } },
  },
};
