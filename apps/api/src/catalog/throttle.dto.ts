import { Int, Num } from '@io/platform';

/** A token bucket, for requests and answers. */
export class ThrottleDto {
  @Num({ min: 0, max: 1e9, description: 'Calls per second.' })
  rateLimit: number;

  @Int({ min: 0, max: 2 ** 31 - 1, description: 'Calls at once.' })
  burstLimit: number;
}
