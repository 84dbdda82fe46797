import { readdirSync, readFileSync } from 'node:fs';
import { load } from 'js-yaml';
import { describe, expect, it } from 'vitest';
import { OWN_HEADERS } from './check-response.js';
import { readRateLimitRequest } from './rate-limit-request.js';
import { field, toBytes } from './wire.js';

const GATEWAYS = new URL('../../../../gateways/', import.meta.url);
const TOKEN_HEADER = 'x-tollgate-token';

type Yaml = Record<string, unknown>;

/** Every mapping in a file that has the field, wherever it stands. */
function withField(value: unknown, name: string): Yaml[] {
  if (typeof value !== 'object' || value === null) return [];
  const inside = Object.values(value).flatMap((each) => withField(each, name));
  return name in value ? [value as Yaml, ...inside] : inside;
}

const read = (path: string) => load(readFileSync(new URL(path, GATEWAYS), 'utf8'));
const valuesOf = (file: unknown, name: string) => withField(file, name).map((each) => each[name]);
const valueOf = (file: unknown, name: string) => {
  const values = valuesOf(file, name);
  expect({ name, count: values.length }).toEqual({ name, count: 1 });
  return values[0];
};

const ENVOY = readdirSync(new URL('envoy/', GATEWAYS)).filter((name) => name.endsWith('.yaml'));
const TYPE = 'type.googleapis.com/envoy.extensions.filters.http.';

describe.each(ENVOY)('gateways/envoy/%s', (name) => {
  const file = read(`envoy/${name}`);

  it('removes every header of ours that a client may send, and no other', () => {
    const removed = valuesOf(file, 'remove').map(String);
    expect(removed.toSorted()).toEqual([...OWN_HEADERS, TOKEN_HEADER].toSorted());
  });

  it('asks after the headers are removed, in time, and fails as it is told', () => {
    const types = (valueOf(file, 'http_filters') as Yaml[]).map(
      (filter) => String(valuesOf(filter, '@type')[0]).replace(TYPE, '').split('.')[0],
    );
    const question = name === 'rate-limit.yaml' ? 'ratelimit' : 'ext_authz';
    expect(types).toEqual(['header_mutation', question, 'router']);
    expect(valuesOf(file, 'timeout')).toEqual(['${TOLLGATE_DEADLINE}']);
    expect(JSON.stringify(file)).toMatch(/"failure_mode_(allow|deny)":"\$\{TOLLGATE_FAILURE_MODE_/);
    expect(valueOf(file, 'status_on_error')).toEqual({ code: 'ServiceUnavailable' });
    expect(JSON.stringify(file)).toContain('${TOLLGATE_GATEWAY_TOKEN}');
  });

  it('decides on the path that the application gets', () => {
    expect(withField(file, 'normalize_path')).toMatchObject([
      {
        normalize_path: true,
        merge_slashes: true,
        path_with_escaped_slashes_action: 'REJECT_REQUEST',
        use_remote_address: true,
        common_http_protocol_options: { headers_with_underscores_action: 'DROP_HEADER' },
      },
    ]);
  });
});

describe('gateways/envoy', () => {
  it('shows ext_authz the key, and the chain that trusted proxies need', () => {
    for (const name of ['ext-authz-grpc.yaml', 'ext-authz-http.yaml']) {
      const { patterns } = valueOf(read(`envoy/${name}`), 'allowed_headers') as {
        patterns: Yaml[];
      };
      const exact = patterns.map((pattern) => pattern['exact']);
      expect(exact).toEqual(expect.arrayContaining(['x-api-key', 'x-forwarded-for']));
    }
  });

  it('names api and stage where the service looks for them', () => {
    const context = valueOf(read('envoy/ext-authz-grpc.yaml'), 'context_extensions');
    expect(context).toEqual({
      api: '${TOLLGATE_API_ID}',
      stage: '${TOLLGATE_STAGE}',
      strip_api_key: 'true',
    });
  });

  it('makes a descriptor that the rate limit service understands', () => {
    const actions = valueOf(read('envoy/rate-limit.yaml'), 'actions') as Yaml[];
    const called: Record<string, string> = {
      'x-api-key': 'the-key',
      ':method': 'GET',
      ':path': '/pets',
    };
    const entries = actions.map((action) => {
      const [kind, options] = Object.entries(action)[0] as [string, Record<string, string>];
      if (kind === 'remote_address') return ['remote_address', '203.0.113.7'];
      const { descriptor_key = '', descriptor_value, header_name = '' } = options;
      return [descriptor_key, descriptor_value ?? called[header_name] ?? ''];
    });
    const descriptor = entries.map(([key = '', value = '']) =>
      field(1, field(1, key) + field(2, value)),
    );
    expect(readRateLimitRequest(toBytes(field(2, descriptor.join(''))))).toEqual([
      {
        apiId: '${TOLLGATE_API_ID}',
        stage: '${TOLLGATE_STAGE}',
        apiKey: 'the-key',
        method: 'GET',
        path: '/pets',
        resourcePath: undefined,
        sourceIp: '203.0.113.7',
        cost: 1,
      },
    ]);
    const skips = valuesOf(actions, 'skip_if_absent');
    expect(skips).toEqual([true]);
  });
});

const lower = (names: unknown) => (names as string[]).map((name) => name.toLowerCase());
const CLIENT_HEADERS = ['ratelimit', 'ratelimit-policy', 'retry-after', 'x-amzn-errortype'];

describe('other gateways', () => {
  it('Istio hands on every header of ours, and no more', () => {
    const file = read('istio/mesh-config.yaml');
    expect(lower(valueOf(file, 'headersToUpstreamOnAllow')).toSorted()).toEqual(
      [...OWN_HEADERS].toSorted(),
    );
    expect(valueOf(file, 'headersToDownstreamOnDeny')).toEqual(
      expect.arrayContaining(CLIENT_HEADERS),
    );
    expect(valueOf(file, 'pathPrefix')).toMatch(/\/path$/);
    expect(valueOf(read('istio/authorization-policy.yaml'), 'action')).toBe('CUSTOM');
  });

  it('Traefik sets the token before the question, and deletes every spelling after it', () => {
    const file = read('traefik/tollgate.yaml');
    const chain = valueOf(file, 'chain') as { middlewares: string[] };
    expect(chain.middlewares).toEqual(['tollgate-token', 'tollgate-question', 'tollgate-key']);
    const { forwardAuth } = withField(file, 'forwardAuth')[0] as { forwardAuth: Yaml };
    expect(forwardAuth).toMatchObject({
      address: expect.stringMatching(/\/traefik$/),
      trustForwardHeader: false,
      authRequestHeaders: ['X-Api-Key', 'X-Tollgate-Token'],
    });
    const pattern = String(forwardAuth['authResponseHeadersRegex']).replace('(?i)', '');
    const spellings = [...OWN_HEADERS, TOKEN_HEADER].flatMap((name) => [
      name,
      name.replaceAll('-', '_'),
    ]);
    expect(spellings.filter((name) => !new RegExp(pattern, 'i').test(name))).toEqual([]);
  });

  it('APISIX hands on every header of ours, and tells the client the refusal', () => {
    const question = valueOf(read('apisix/apisix.yaml'), 'forward-auth') as Yaml;
    expect(lower(question['upstream_headers']).toSorted()).toEqual([...OWN_HEADERS].toSorted());
    expect(lower(question['client_headers'])).toEqual(expect.arrayContaining(CLIENT_HEADERS));
    expect(question).toMatchObject({
      uri: expect.stringMatching(/\/apisix$/),
      request_headers: ['X-Api-Key'],
      extra_headers: { 'X-Tollgate-Token': '${TOLLGATE_GATEWAY_TOKEN}' },
      status_on_error: 503,
    });
  });
});
