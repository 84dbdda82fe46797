import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { saveExport } from './save-export.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tollgate-export-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
});

async function serve(listener: RequestListener): Promise<{ url: string; token: string }> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a TCP server's address is an AddressInfo
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, token: 'tgo_x' };
}
const path = () => join(folder, 'journal.csv');
const wanted = { name: 'journal', from: '2026-11-01T00:00:00Z' };

describe('saveExport', () => {
  it('saves what comes, as it comes', async () => {
    const asked: (string | undefined)[] = [];
    const service = await serve((request, response) => {
      asked.push(request.url, request.headers.authorization);
      response.write('a,b\r\n');
      response.end('1,2\r\n');
    });
    expect(await saveExport(service, wanted, { path: path() })).toEqual({ bytes: 10, lines: 2 });
    expect(readFileSync(path(), 'utf8')).toBe('a,b\r\n1,2\r\n');
    expect(asked).toEqual([
      '/v1/exports/journal.csv?from=2026-11-01T00%3A00%3A00Z',
      'Bearer tgo_x',
    ]);
  });

  it('leaves nothing of an export that breaks off', async () => {
    const service = await serve((_, response) => {
      response.write('a,b\r\n1,');
      response.socket?.destroy();
    });
    await expect(saveExport(service, wanted, { path: path() })).rejects.toThrow();
    expect(readdirSync(folder)).toEqual([]);
  });

  it('says why it was refused, and who does not answer', async () => {
    const service = await serve((_, response) => {
      response.writeHead(404).end('{"detail":"There is no export \\"jornal\\"."}');
    });
    const save = (of: typeof service) => saveExport(of, wanted, { path: path() });
    await expect(save(service)).rejects.toThrow('answered 404: There is no export "jornal".');
    await expect(save({ ...service, url: 'http://127.0.0.1:9' })).rejects.toThrow(
      'http://127.0.0.1:9 does not answer',
    );
    expect(readdirSync(folder)).toEqual([]);
  });
});
