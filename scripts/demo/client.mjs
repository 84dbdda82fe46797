// @ts-check
/** Speaks the public HTTP API, for scripts. */

/** An answer that is not the expected one; the message says which request and why, and holds no secret. */
export class UnexpectedAnswer extends Error {}

/** @typedef {Record<string, any>} Json */

/**
 * @param {object} options
 * @param {string} options.url of the service
 * @param {string} options.token of an operator
 */
export function createClient({ url, token }) {
  /**
   * @param {string} method
   * @param {string} path below `/v1`
   * @param {Json} [body]
   */
  const send = async (method, path, body) => {
    const response = await fetch(`${url}/v1${path}`, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body && { 'content-type': 'application/json' }),
      },
      ...(body && { body: JSON.stringify(body) }),
    });
    if (!response.ok) {
      const why = (await response.text()).slice(0, 1_000);
      throw new UnexpectedAnswer(`${method} /v1${path} answered ${response.status}: ${why}`);
    }
    return response;
  };
  /** @param {Response} response */
  const read = async (response) => /** @type {Json} */ (await response.json());
  /** @param {string} path */
  const get = async (path) => read(await send('GET', path));
  return {
    get,
    /** @param {string} path @param {Json} [body] */
    post: async (path, body) => read(await send('POST', path, body)),
    /** @param {string} path @param {Json} body */
    patch: async (path, body) => read(await send('PATCH', path, body)),
    /** @param {string} path */
    bytes: async (path) => new Uint8Array(await (await send('GET', path)).arrayBuffer()),
    /**
     * All pages of a list.
     *
     * @param {string} path
     * @param {Record<string, string>} [query]
     * @returns {Promise<Json[]>}
     */
    list: async (path, query = {}) => {
      /** @type {Json[]} */
      const items = [];
      let cursor;
      do {
        const page = new URLSearchParams({ ...query, limit: '100', ...(cursor && { cursor }) });
        const answer = await get(`${path}?${page.toString()}`);
        items.push(...answer['items']);
        cursor = answer['next'];
      } while (cursor);
      return items;
    },
  };
}

/** @typedef {ReturnType<typeof createClient>} Client */
