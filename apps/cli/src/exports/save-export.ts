import { open, rename, rm } from 'node:fs/promises';
import { askForExport, type Service, type WantedExport } from './service.js';

const LF = 0x0a;
const SHOW_EVERY_MS = 200;

/** What came of an export. */
export interface Saved {
  readonly bytes: number;
  /** Lines of the file, its head among them; a cell may have several. */
  readonly lines: number;
}

/**
 * Saves an export under a path, as it comes. The file is there under its name only when it is whole: until then it is
 * beside it as `.part`, and what broke off is taken away.
 */
export async function saveExport(
  service: Service,
  wanted: WantedExport,
  { path, show }: { readonly path: string; readonly show?: ((line: string) => void) | undefined },
): Promise<Saved> {
  const { body } = await askForExport(service, wanted);
  const part = `${path}.part`;
  const file = await open(part, 'w');
  const begun = Date.now();
  let [bytes, lines, shownAt] = [0, 0, begun];
  try {
    for await (const chunk of body ?? []) {
      await file.write(chunk);
      bytes += chunk.length;
      for (const byte of chunk) if (byte === LF) lines += 1;
      const now = Date.now();
      if (show === undefined || now - shownAt < SHOW_EVERY_MS) continue;
      shownAt = now;
      show(progress({ name: wanted.name, bytes, lines, elapsedMs: now - begun }));
    }
    await file.sync();
    await file.close();
    await rename(part, path);
    return { bytes, lines };
  } catch (error) {
    await file.close().catch(() => undefined);
    await rm(part, { force: true });
    throw error;
  }
}

function progress(of: Saved & { readonly name: string; readonly elapsedMs: number }): string {
  const { name, bytes, lines, elapsedMs } = of;
  const rate = Math.round((lines * 1_000) / Math.max(1, elapsedMs));
  return `${name}: ${lines} lines, ${(bytes / 1e6).toFixed(1)} MB, ${rate} lines a second`;
}
