import { readFileSync } from 'node:fs';
import { load } from 'js-yaml';
import { describe, expect, it } from 'vitest';
import { NODE_FLAGS } from './launcher/processes.mjs';

const read = (name: string) => readFileSync(new URL(`../${name}`, import.meta.url), 'utf8');

interface Service {
  image?: string;
  user?: string;
  ports?: string[];
  networks: string[];
  cap_drop: string[];
  security_opt: string[];
  read_only: boolean;
  tmpfs: string[];
  environment?: Record<string, string>;
  command?: string[];
  healthcheck?: { test?: string[]; disable?: boolean };
  depends_on?: Record<string, { condition: string }>;
}

interface Compose {
  services: Record<string, Service>;
  networks: Record<string, { internal?: boolean } | null>;
}

const text = read('docker-compose.yml');
const compose = withMerges(load(text)) as Compose;
const services = Object.entries(compose.services);
const service = (name: string): Service => compose.services[name]!;

describe('docker-compose.yml', () => {
  it('runs the two stores, one migration, and the two processes', () => {
    expect(services.map(([name]) => name).sort()).toEqual([
      'api',
      'migrate',
      'postgres',
      'redis',
      'worker',
    ]);
  });

  it.each(services)('takes every right from %s that it does not need', (_, service) => {
    expect(service).toMatchObject({ cap_drop: ['ALL'], read_only: true });
    expect(service.security_opt).toContain('no-new-privileges:true');
    expect(service.tmpfs.length).toBeGreaterThan(0);
  });

  it('publishes the api on the loopback address only, and nothing else', () => {
    expect(services.filter(([, { ports }]) => ports).map(([name]) => name)).toEqual(['api']);
    expect(service('api').ports!.every((port) => port.startsWith('127.0.0.1:'))).toBe(true);
  });

  it('lets neither store out of the network of the stores', () => {
    expect(compose.networks['stores']).toEqual({ internal: true });
    expect(service('postgres').networks).toEqual(['stores']);
    expect(service('redis').networks).toEqual(['stores']);
  });

  it('knows no password, and refuses to start without one', () => {
    const values = services.flatMap(([, { environment = {}, command = [] }]) => [
      ...Object.entries(environment)
        .filter(([name]) => /SECRET|PASSWORD|TOKEN|AUTH|_URL$/.test(name))
        .map(([, value]) => value),
      ...command.filter((_, index) => command[index - 1] === '--requirepass'),
    ]);
    expect(values.length).toBeGreaterThan(8);
    for (const value of values) expect(value).toMatch(/\$\{[A-Z_]+:\?[^}]+\}/);
  });

  it('never evicts a job or a lease', () => {
    expect(service('redis').command!.join(' ')).toContain('--maxmemory-policy noeviction');
  });

  it('starts api and worker after the migration, and that after a healthy database', () => {
    for (const name of ['api', 'worker']) {
      expect(service(name).depends_on).toEqual({
        migrate: { condition: 'service_completed_successfully' },
        postgres: { condition: 'service_healthy' },
        redis: { condition: 'service_healthy' },
      });
    }
    expect(service('migrate').depends_on).toEqual({ postgres: { condition: 'service_healthy' } });
    for (const name of ['postgres', 'redis']) {
      expect(service(name).healthcheck?.test?.[0]).toBe('CMD');
    }
  });
});

describe('Dockerfile', () => {
  const stages = read('Dockerfile').split(/^FROM /m);
  const final = stages.at(-1)!;

  it('uses Node 24 in every stage', () => {
    const images = [...read('Dockerfile').matchAll(/^FROM (\S+)/gm)].map(([, image]) => image);
    expect(new Set(images)).toEqual(new Set(['node:24-slim']));
  });

  it('runs as a user without rights, by number so that an orchestrator can see it', () => {
    expect(final).toMatch(/^USER 10001:10001$/m);
    expect(final.indexOf('USER')).toBeGreaterThan(final.indexOf('COPY'));
  });

  it('starts Node as npm start does, in the compose file too', () => {
    const image = JSON.parse(/^CMD (\[.*\])$/m.exec(final)?.[1] ?? '[]') as string[];
    for (const command of [image, service('api').command!, service('worker').command!]) {
      expect(command.slice(1, -1)).toEqual(NODE_FLAGS);
    }
  });

  it('brings no package of development, no compiler and no sources', () => {
    expect(stages.find((stage) => stage.includes(' AS packages'))).toContain('npm ci --omit=dev');
    expect(final).toContain('--from=packages /app/node_modules');
    expect(final).not.toMatch(/COPY (apps|libs|\.)/);
    expect(final).not.toMatch(/npm (ci|install)/);
  });

  it('is asked for its health by Node, since there is no curl', () => {
    expect(final).toMatch(/HEALTHCHECK[^]*"node", "-e".*health\/ready/);
  });

  it('lets nothing into the build but what it names', () => {
    const lines = read('.dockerignore')
      .split('\n')
      .filter((line) => line && !line.startsWith('#'));
    expect(lines[0]).toBe('*');
    expect(lines).toContain('**/.env');
  });
});

/** YAML 1.2 has no merge keys, which Compose resolves itself. */
function withMerges(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withMerges);
  if (typeof value !== 'object' || value === null) return value;
  const own = Object.entries(value).filter(([key]) => key !== '<<');
  const merged = '<<' in value ? (withMerges(value['<<']) as object) : {};
  return { ...merged, ...Object.fromEntries(own.map(([key, item]) => [key, withMerges(item)])) };
}
