import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { createServer as createTcpServer, type AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Config } from '../config/config.js';
import { EgressClient } from './egress-client.js';

/** A certificate for hooks.example, valid until 2126, and its key; good for nothing else. */
const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBoDCCAUegAwIBAgIUFQFtDok9WpEMuMnD1AwP1RsFlwAwCgYIKoZIzj0EAwIw
GDEWMBQGA1UEAwwNaG9va3MuZXhhbXBsZTAgFw0yNjExMjIyMTI2NTZaGA8yMTI2
MTAyOTIxMjY1NlowGDEWMBQGA1UEAwwNaG9va3MuZXhhbXBsZTBZMBMGByqGSM49
AgEGCCqGSM49AwEHA0IABBUIDXB0kdITCjLMLaFUi0/AxcFdIQlYaWgC9hGkv/Lj
ix0hwwV9yIPcfPuGCunD+4cyWZkSiJwGNBftXhJpDbqjbTBrMB0GA1UdDgQWBBSf
Op6TCZW2fFGBV0Y3BZgtQnxtejAfBgNVHSMEGDAWgBSfOp6TCZW2fFGBV0Y3BZgt
QnxtejAPBgNVHRMBAf8EBTADAQH/MBgGA1UdEQQRMA+CDWhvb2tzLmV4YW1wbGUw
CgYIKoZIzj0EAwIDRwAwRAIgRPEurR4bUStEd6nu+JJY+abYRAJDYwwH5XInD0wY
CRICICXeJ08Bo3KMhlTivxCgmDza6qr8JB/IPKz8PvN2IuUL
-----END CERTIFICATE-----
`;
const KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgc9iz4dbO7vpi65kN
sDtr7tyIuYkRJgEodw7iFMrIZ5qhRANCAAQVCA1wdJHSEwoyzC2hVItPwMXBXSEJ
WGloAvYRpL/y44sdIcMFfciD3Hz7hgrpw/uHMlmZEoicBjQX7V4SaQ26
-----END PRIVATE KEY-----
`;

const VALID = {
  DATABASE_URL: 'postgresql://localhost:5999/tollgate',
  TOLLGATE_SECRET: 'correct horse battery staple 0123456789',
};
/** As a self-hoster sets it who has receivers at two addresses of their own network. */
const OPEN = { EGRESS_ALLOW_HTTP: 'on', EGRESS_PORTS: 'any', EGRESS_ALLOW_CIDRS: '127.0.0.2/32' };

/** A client whose DNS is a list of answers, the last of which stays. */
class TestEgress extends EgressClient {
  asked = 0;

  constructor(
    settings: Readonly<Record<string, string>>,
    private readonly answers: readonly (readonly string[])[] = [],
  ) {
    super(new Config({ ...VALID, ...settings }));
  }

  protected override resolve(): Promise<readonly string[]> {
    const answer = this.answers[Math.min(this.asked, this.answers.length - 1)] ?? [];
    this.asked += 1;
    return Promise.resolve(answer);
  }

  protected override trusted(): string {
    return CERTIFICATE;
  }
}

const REQUEST = { headers: { 'content-type': 'application/json' }, body: '{}' };
const faultOf = (client: EgressClient, url: string) =>
  client.post(url, REQUEST).then(
    ({ status }) => status,
    (error: unknown) => (error as { fault: string }).fault,
  );

async function listening(server: Server, host = '127.0.0.2', port = 0): Promise<number> {
  await new Promise<void>((resolve) => void server.listen(port, host, resolve));
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

/** A server that counts its calls. */
async function aServer(
  host = '127.0.0.2',
  answer: RequestListener = (_, res) => res.end('ok'),
  at = 0,
) {
  const calls: string[] = [];
  const server = createServer((request, response) => {
    calls.push(`${request.headers.host}${request.url}`);
    answer(request, response);
  });
  return { calls, port: await listening(server, host, at) };
}

describe('EgressClient', () => {
  it.each([
    '127.0.0.1',
    '127.1',
    '0x7f.1',
    '2130706433',
    '0177.0.0.1',
    '①②⑦.⓪.⓪.①',
    '0',
    '0.0.0.0',
    '10.0.0.1',
    '172.16.0.1',
    '192.168.1.1',
    '100.64.0.1',
    '169.254.169.254',
    '192.0.0.192',
    '198.18.0.1',
    '224.0.0.1',
    '255.255.255.255',
    '[::]',
    '[::1]',
    '[::ffff:127.0.0.1]',
    '[::ffff:7f00:1]',
    '[::127.0.0.1]',
    '[fe80::1]',
    '[fd00:ec2::254]',
    '[fc00::1]',
    '[64:ff9b::7f00:1]',
    '[64:ff9b:1::7f00:1]',
    '[2002:7f00:1::]',
    '[2001:0:7f00:1::]',
    '[ff02::1]',
    '[2001:db8::1]',
  ])('refuses the address %s before it is saved, and when it is asked', async (host) => {
    const client = new TestEgress({ EGRESS_ALLOW_HTTP: 'on' });
    expect(client.urlFault(`http://${host}/hook`)).toBe('must not name a private address');
    expect(await faultOf(client, `http://${host}/hook`)).toBe('url-refused');
  });

  it.each([
    { url: 'http://example.com/', why: 'no TLS' },
    { url: 'ftp://example.com/', why: 'another protocol' },
    { url: 'https://user:password@example.com/', why: 'a password' },
    { url: 'https://example.com/#', why: 'a fragment' },
    { url: 'https://example.com:5432/', why: 'another port' },
    { url: `https://example.com/${'x'.repeat(2_048)}`, why: 'more than 2 KiB' },
    { url: 'example.com', why: 'no URL' },
  ])('refuses a URL with $why', ({ url }) => {
    expect(new TestEgress({}).urlFault(url)).not.toBeNull();
    expect(new TestEgress({}).urlFault('https://example.com:8443/a?b=c')).toBeNull();
  });

  it.each([
    '127.0.0.1',
    '::1',
    '::ffff:127.0.0.1',
    '169.254.169.254',
    '10.1.2.3',
    'fd00:ec2::254',
    'fe80::1%lo',
  ])('refuses a name that leads to %s, also beside a good address', async (address) => {
    expect(await faultOf(new TestEgress({}, [[address]]), 'https://a.example/')).toBe(
      'address-refused',
    );
    expect(await faultOf(new TestEgress({}, [['8.8.8.8', address]]), 'https://a.example/')).toBe(
      'address-refused',
    );
  });

  it('really resolves: localhost is refused', async () => {
    const client = new EgressClient(new Config({ ...VALID, ...OPEN, EGRESS_ALLOW_CIDRS: '' }));
    expect(await faultOf(client, 'http://localhost:3/')).toBe('address-refused');
  });

  it('never opens link-local addresses, whatever the setting says', async () => {
    const all = { ...OPEN, EGRESS_ALLOW_CIDRS: '0.0.0.0/1,128.0.0.0/1,::/1,8000::/1' };
    for (const address of ['169.254.169.254', 'fe80::1', 'fd00:ec2::254'])
      expect(await faultOf(new TestEgress(all, [[address]]), 'http://a.example/')).toBe(
        'address-refused',
      );
  });

  it('never reaches the ports of the service and its database at a private address', async () => {
    for (const port of [3000, 5999])
      expect(
        await faultOf(new TestEgress(OPEN, [['127.0.0.2']]), `http://a.example:${port}/`),
      ).toBe('address-refused');
  });

  it('goes where the address leads that was checked, though the name now leads elsewhere', async () => {
    const good = await aServer();
    const inside = await aServer('127.0.0.1', undefined, good.port);
    const client = new TestEgress(OPEN, [['127.0.0.2'], ['127.0.0.1']]);
    expect(await faultOf(client, `http://rebind.example:${good.port}/hook?a=b`)).toBe(200);
    expect(good.calls).toEqual([`rebind.example:${good.port}/hook?a=b`]);
    expect(inside.calls).toEqual([]);
    expect(client.asked).toBe(1);
    expect(await faultOf(client, `http://rebind.example:${good.port}/`)).toBe('address-refused');
    expect(inside.calls).toEqual([]);
  });

  it('follows no redirect', async () => {
    const inside = await aServer('127.0.0.2');
    const { port } = await aServer('127.0.0.2', (_, res) =>
      res.writeHead(307, { location: `http://127.0.0.2:${inside.port}/` }).end(),
    );
    expect(await faultOf(new TestEgress(OPEN), `http://127.0.0.2:${port}/`)).toBe(307);
    expect(inside.calls).toEqual([]);
  });

  it('reads at most 64 KiB of an answer that does not end', async () => {
    const { port } = await aServer('127.0.0.2', (_, res) => {
      res.writeHead(200);
      const more = () => res.destroyed || res.write('x'.repeat(10_000), () => setImmediate(more));
      more();
    });
    const { body, isPublic } = await new TestEgress(OPEN).post(
      `http://127.0.0.2:${port}/`,
      REQUEST,
    );
    expect(body).toHaveLength(65_536);
    expect(isPublic).toBe(false);
  });

  it('says that nobody listens, that the answer broke off, and that the name is unknown', async () => {
    const server = createTcpServer((socket) => void socket.once('data', () => socket.destroy()));
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.2', resolve));
    const { port } = server.address() as AddressInfo;
    expect(await faultOf(new TestEgress(OPEN), `http://127.0.0.2:${port}/`)).toBe('no-answer');
    await new Promise((resolve) => void server.close(resolve));
    expect(await faultOf(new TestEgress(OPEN), `http://127.0.0.2:${port}/`)).toBe('connect');
    expect(await faultOf(new TestEgress(OPEN), `http://nowhere.example:${port}/`)).toBe('dns');
  });

  it('speaks TLS with the name of the URL at the address that was checked, and refuses another name', async () => {
    const server = createSecureServer({ key: KEY, cert: CERTIFICATE }, (request, response) =>
      response.end(request.headers.host),
    );
    const port = await listening(server);
    const client = new TestEgress(OPEN, [['127.0.0.2']]);
    const answer = await client.post(`https://hooks.example:${port}/`, REQUEST);
    expect(answer.body).toBe(`hooks.example:${port}`);
    expect(await faultOf(client, `https://other.example:${port}/`)).toBe('tls');
  });
});
