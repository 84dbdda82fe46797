import { beforeAll, expect, it } from 'vitest';
import { startApi, type TestApi } from '../support/api.js';
import { controlPlane } from '../support/control-plane.js';
import { documentedRoutes, pathOf, type Route } from '../support/openapi-routes.js';

const ROLES = ['owner', 'admin', 'finance', 'support', 'read-only'];

let api: TestApi;
let callers: { readonly who: string; readonly token: string | null }[];
beforeAll(async () => {
  api = await startApi();
  const make = controlPlane(api);
  callers = [];
  for (const who of ROLES) callers.push({ who, token: (await make.operatorToken(who)).value });
  const { id } = await make.customer();
  callers.push({ who: 'customer', token: (await make.customerToken(id)).value });
  callers.push({ who: 'gateway', token: api.gatewayToken });
  callers.push({ who: 'nobody', token: null });
});

/** Whether the guard lets the caller in. What is asked for is not there, or has a field that nobody knows. */
async function isLetIn(route: Route, token: string | null): Promise<boolean> {
  const hasBody = route.method !== 'GET' && route.method !== 'DELETE';
  const { status } = await api.call(route.method, pathOf(route, {}), {
    token,
    ...(hasBody ? { body: { 'nobody knows': 1 } } : {}),
  });
  return status !== 401 && status !== 403;
}

/**
 * Who may use which route, in a file that is read by people: a change of it is a change of who may do what. After a
 * change that is meant, write it anew with `npx vitest run --project api test/api/role-matrix.spec.ts -u`.
 */
it('lets in whom role-matrix.txt says, and nobody else', async () => {
  const routes = await documentedRoutes(api);
  const width = Math.max(...routes.map(({ name }) => name.length));
  const lines = [`${' '.repeat(width)}  ${callers.map(({ who }) => who).join('  ')}`];
  for (const route of routes) {
    const cells = [];
    for (const { who, token } of callers) {
      cells.push(((await isLetIn(route, token)) ? 'yes' : '-').padEnd(who.length));
    }
    lines.push(`${route.name.padEnd(width)}  ${cells.join('  ')}`.trimEnd());
  }
  await expect(`${lines.join('\n')}\n`).toMatchFileSnapshot('role-matrix.txt');
});
