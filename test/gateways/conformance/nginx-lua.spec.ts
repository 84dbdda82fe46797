import { hasNginxLua, startNginxLua } from '../../support/nginx-lua.js';
import type { GatewayDriver } from './driver.js';
import { conformance } from './suite.js';

const nginxLua: GatewayDriver = {
  name: 'nginx with the Lua plugin',
  // The module is a library of nginx, so its absence is told by a program that nobody has.
  needs: hasNginxLua() ? ['nginx'] : ['nginx with libnginx-mod-http-lua'],
  readme: 'gateways/openresty/README.md',
  start: ({ upstream, ...setup }) => startNginxLua({ ...setup, applicationAddress: upstream }),
};

conformance(nginxLua);
