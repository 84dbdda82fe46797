import { TextList } from '@io/platform';

/** Addresses and CIDR blocks, of IPv4 and IPv6; for requests and answers. */
export class IpPolicyDto {
  @TextList({ max: 1_000, itemMax: 64, optional: true, description: 'Who may, when not empty.' })
  allow?: string[];

  @TextList({ max: 1_000, itemMax: 64, optional: true, description: 'Who may not; it wins.' })
  deny?: string[];
}
