import { X509Certificate } from 'node:crypto';
import { Config, EgressClient, SystemClock, type EgressAnswer } from '@io/platform';
import { beforeEach, describe, expect, it } from 'vitest';
import * as certificates from '../../../../test/support/sns-certificates.js';
import { SnsCertificates } from './sns-certificates.js';

const { BY_LEAF, EXPIRED, EXPIRED_INTERMEDIATE, INTERMEDIATE, LEAF, OTHER_HOST } = certificates;
const { ROOT, STRANGERS } = certificates;
const URL = 'https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0a.pem';
const ISSUER = 'http://crt.r2m99.amazontrust.com/r2m99.cer';
const SETTINGS = {
  DATABASE_URL: 'postgresql://localhost:5999/tollgate',
  TOLLGATE_SECRET: 'correct horse battery staple 0123456789',
};

/** The web, as far as it has certificates; authorities give theirs as bytes. */
class Web extends EgressClient {
  readonly asked: string[] = [];
  readonly pages = new Map<string, string | Buffer>();

  override get(url: string): Promise<EgressAnswer> {
    this.asked.push(url);
    const page = this.pages.get(url);
    const bytes = Buffer.from(page ?? '');
    const body = bytes.toString('utf8');
    const status = page === undefined ? 404 : 200;
    return Promise.resolve({ status, headers: {}, body, bytes, isPublic: true });
  }
}

class Clock extends SystemClock {
  ms = Date.UTC(2027, 1, 10);

  override nowMs(): number {
    return this.ms;
  }
}

class OwnRoot extends SnsCertificates {
  override roots() {
    return [new X509Certificate(ROOT)];
  }
}

let web: Web;
let clock: Clock;
beforeEach(() => {
  web = new Web(new Config(SETTINGS));
  web.pages.set(URL, LEAF).set(ISSUER, new X509Certificate(INTERMEDIATE).raw);
  clock = new Clock();
});

const subjectOf = async (trusted = new OwnRoot(web, clock)) => (await trusted.of(URL)).subject;

describe('a certificate of SNS', () => {
  it('is one whose issuers, which come with it, lead to a trusted root', async () => {
    web.pages.set(URL, LEAF + INTERMEDIATE);
    expect(await subjectOf()).toBe('CN=sns.amazonaws.com');
    expect(web.asked).toEqual([URL]);
  });

  it('is one whose issuer is where it says, with Amazon', async () => {
    expect(await subjectOf()).toBe('CN=sns.amazonaws.com');
    expect(web.asked).toEqual([URL, ISSUER]);
  });

  it('is fetched once a day, and refused when a link of it expires meanwhile', async () => {
    const trusted = new OwnRoot(web, clock);
    await subjectOf(trusted);
    clock.ms += 23 * 3_600_000;
    await subjectOf(trusted);
    expect(web.asked).toHaveLength(2);
    clock.ms += 2 * 3_600_000;
    await subjectOf(trusted);
    expect(web.asked).toHaveLength(4);
    clock.ms = Date.UTC(2121, 0, 1);
    await expect(trusted.of(URL)).rejects.toThrow('is not of now');
  });

  it.each([
    { why: 'has expired', pem: EXPIRED + INTERMEDIATE, says: 'not of now' },
    { why: 'has an issuer that has expired', pem: LEAF + EXPIRED_INTERMEDIATE, says: 'not of now' },
    { why: 'is of another host', pem: OTHER_HOST + INTERMEDIATE, says: 'not of Amazon SNS' },
    { why: 'is of a root of the same name', pem: STRANGERS, says: 'does not lead to a root' },
    { why: 'is of a certificate that is no authority', pem: BY_LEAF + LEAF, says: 'not lead' },
    { why: 'is none', pem: 'rubbish', says: 'cannot be read' },
  ])('is not one that $why', async ({ pem, says }) => {
    web.pages.set(URL, pem);
    await expect(subjectOf()).rejects.toThrow(says);
  });

  it('is not one whose issuer’s place holds another', async () => {
    web.pages.set(ISSUER, new X509Certificate(STRANGERS).raw);
    await expect(subjectOf()).rejects.toThrow('not issued by whom it names');
    web.pages.delete(ISSUER);
    await expect(subjectOf()).rejects.toThrow('not issued by whom it names');
  });

  it('is not one of a root that only these tests trust', async () => {
    const real = new SnsCertificates(web, clock);
    const names = real.roots().map(({ subject }) => /CN=(.*)/.exec(subject)?.[1]);
    expect(names).toContain('Amazon Root CA 1');
    expect(names.every((name) => name?.match(/^(Amazon|Starfield)/))).toBe(true);
    web.pages.set(URL, LEAF + INTERMEDIATE + ROOT);
    await expect(real.of(URL)).rejects.toThrow('is refused');
  });
});
