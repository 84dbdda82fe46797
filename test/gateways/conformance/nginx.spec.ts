import { startNginx } from '../../support/nginx.js';
import type { GatewayDriver } from './driver.js';
import { conformance } from './suite.js';

const nginx: GatewayDriver = {
  name: 'nginx',
  needs: ['nginx'],
  readme: 'gateways/nginx/README.md',
  declared: {
    'spoofed-unused-tollgate':
      'nginx deletes headers by their names only, so an X-Tollgate-* that Tollgate does not use reaches the application.',
  },
  start: ({ serviceUrl, deadlineMs, upstream, ...setup }) =>
    startNginx({
      ...setup,
      tollgateAddress: new URL(serviceUrl).host,
      applicationAddress: upstream,
      deadline: `${deadlineMs}ms`,
    }),
};

conformance(nginx);
