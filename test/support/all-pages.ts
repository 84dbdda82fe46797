import type { TestApi } from './api.js';

/** Every item of a list, page by page; the path may have a query. */
export async function allPages<T>(
  { call }: Pick<TestApi, 'call'>,
  path: string,
  { limit = 500 } = {},
): Promise<T[]> {
  const items: T[] = [];
  const query = `${path}${path.includes('?') ? '&' : '?'}limit=${limit}`;
  for (let cursor = ''; ;) {
    const { body } = await call<{ items: T[]; next?: string }>('GET', `${query}${cursor}`);
    items.push(...body.items);
    if (body.next === undefined) return items;
    cursor = `&cursor=${encodeURIComponent(body.next)}`;
  }
}
