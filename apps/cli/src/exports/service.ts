/** Where the api is, and as whom it is asked. */
export interface Service {
  readonly url: string;
  /** Of an operator who may read. */
  readonly token: string;
}

/** A table for finance and its span; instants as ISO 8601, `to` is not included. */
export interface WantedExport {
  readonly name: string;
  readonly format?: 'csv' | 'parquet' | undefined;
  readonly from?: string | undefined;
  readonly to?: string | undefined;
}

/** The service did not answer what was asked; the message says why. */
export class ServiceRefused extends Error {
  override readonly name = 'ServiceRefused';
}

/** Asks for a path of the api, or posts a body to it. Throws `ServiceRefused` with what the service says. */
export async function ask({ url, token }: Service, path: string, body?: object): Promise<Response> {
  const response = await fetch(new URL(path, url), {
    headers: {
      authorization: `Bearer ${token}`,
      ...(body && { 'content-type': 'application/json' }),
    },
    ...(body && { method: 'POST', body: JSON.stringify(body) }),
  }).catch((error: unknown) => {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    throw new ServiceRefused(`${url} does not answer: ${String(cause)}`);
  });
  if (response.ok) return response;
  const text = await response.text();
  throw new ServiceRefused(`the service answered ${response.status}: ${detailOf(text)}`);
}

/** The answer of an export, not read yet. */
export function askForExport(
  service: Service,
  { name, format = 'csv', from, to }: WantedExport,
): Promise<Response> {
  const span = new URLSearchParams({
    ...(from !== undefined && { from }),
    ...(to !== undefined && { to }),
  });
  return ask(service, `/v1/exports/${encodeURIComponent(name)}.${format}?${span.toString()}`);
}

function detailOf(text: string): string {
  try {
    const { detail, title }: { detail?: string; title?: string } = JSON.parse(text);
    return detail ?? title ?? text;
  } catch {
    return text.slice(0, 500);
  }
}
