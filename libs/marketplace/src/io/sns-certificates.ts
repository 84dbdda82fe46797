import { X509Certificate } from 'node:crypto';
import { rootCertificates } from 'node:tls';
import { Injectable } from '@nestjs/common';
import { SnsMessageRefused } from '@core/marketplace';
import { EgressClient, SystemClock } from '@io/platform';

const SIGNER = 'sns.amazonaws.com';
const CERTIFICATES_MAX = 16;
const CERTIFICATE_MS = 24 * 3_600_000;
/** Issuers between a certificate and a root. */
const ISSUERS_MAX = 3;
/** Where Amazon's authorities keep their own certificates, over plain HTTP as is usual: a signature says whose they are. */
const ISSUER_URL =
  /^https?:\/\/(crt|cert)\.[a-z0-9]{1,32}\.amazontrust\.com\/[A-Za-z0-9._-]{1,64}$/;
const OK = 200;

interface Chain {
  readonly leaf: X509Certificate;
  /** The leaf, its issuers and the root. */
  readonly links: readonly X509Certificate[];
  readonly at: number;
}

/** Certificates that Amazon SNS signs with, each from its URL and of a chain to a root of Amazon's; kept for a day. */
@Injectable()
export class SnsCertificates {
  private readonly chains = new Map<string, Chain>();

  constructor(
    private readonly egress: EgressClient,
    private readonly clock: SystemClock,
  ) {}

  /** Whom a chain has to end at: Amazon's, of the roots that Node brings along. Apart, so that a test can have its own. */
  roots(): readonly X509Certificate[] {
    return AMAZON_ROOTS;
  }

  /** The certificate of a URL that `namesCertificateOfSns` took. Throws `SnsMessageRefused`. */
  async of(url: string): Promise<X509Certificate> {
    const now = this.clock.nowMs();
    const known = this.chains.get(url);
    const isFresh = known !== undefined && now - known.at < CERTIFICATE_MS;
    const chain = isFresh ? known : await this.fetch(url, now);
    if (chain.links.some((link) => !isInDate(link, now)))
      throw new SnsMessageRefused('its certificate, or one of its issuers, is not of now');
    if (chain !== known) this.keep(url, chain);
    return chain.leaf;
  }

  private async fetch(url: string, at: number): Promise<Chain> {
    const { status, body } = await this.egress.get(url);
    if (status !== OK) throw new SnsMessageRefused(`its certificate was answered ${status}`);
    const [leaf, ...others] = certificatesOf(body);
    if (!leaf) throw new SnsMessageRefused('its certificate cannot be read');
    if (leaf.checkHost(SIGNER) === undefined)
      throw new SnsMessageRefused('its certificate is not of Amazon SNS');
    const links = [leaf];
    for (let link = leaf; links.length <= ISSUERS_MAX + 1;) {
      const root = this.roots().find((one) => isIssuedBy(link, one));
      if (root) return { leaf, links: [...links, root], at };
      link = others.find((one) => isIssuedBy(link, one)) ?? (await this.issuerOf(link));
      links.push(link);
    }
    throw new SnsMessageRefused('its certificate has too many issuers');
  }

  /** SNS gives the certificate alone: who issued it is where it says, as long as that is with Amazon. */
  private async issuerOf(certificate: X509Certificate): Promise<X509Certificate> {
    const { infoAccess = '' } = certificate;
    const urls = (infoAccess ?? '')
      .split('\n')
      .flatMap((line) => (line.startsWith('CA Issuers - URI:') ? [line.slice(17)] : []));
    const url = urls.find((one) => ISSUER_URL.test(one));
    if (url === undefined)
      throw new SnsMessageRefused('its certificate does not lead to a root of Amazon');
    const { status, bytes } = await this.egress.get(url, { mayBePlain: true });
    const issuer = status === OK ? readCertificate(bytes) : null;
    if (!issuer || !isIssuedBy(certificate, issuer))
      throw new SnsMessageRefused('its certificate was not issued by whom it names');
    return issuer;
  }

  private keep(url: string, chain: Chain): void {
    this.chains.delete(url);
    const [oldest] = this.chains.keys();
    if (this.chains.size >= CERTIFICATES_MAX && oldest !== undefined) this.chains.delete(oldest);
    this.chains.set(url, chain);
  }
}

const AMAZON_ROOTS = rootCertificates
  .map((pem) => new X509Certificate(pem))
  .filter(({ subject }) => /^O=(Amazon|Starfield Technologies\\?, Inc\.)$/m.test(subject));

/** Signed by an authority, in name and in fact. A certificate that may issue none issues none. */
const isIssuedBy = (certificate: X509Certificate, issuer: X509Certificate): boolean =>
  issuer.ca && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);

const isInDate = ({ validFrom, validTo }: X509Certificate, now: number): boolean =>
  Date.parse(validFrom) <= now && now <= Date.parse(validTo);

/** The certificates of a text, in their order. */
function certificatesOf(text: string): X509Certificate[] {
  const found = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return found.flatMap((pem) => readCertificate(Buffer.from(pem)) ?? []);
}

/** Of PEM or DER; null when it is neither. */
function readCertificate(bytes: Buffer): X509Certificate | null {
  try {
    return new X509Certificate(bytes);
  } catch {
    return null;
  }
}
