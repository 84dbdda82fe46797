import { EnvoyClient } from '../../support/envoy.js';
import { askByGrpc, askByHttp } from './stand-ins/envoy.js';
import { startProxy } from './stand-ins/proxy.js';
import { conformance } from './suite.js';

/** Both speak as Envoy's filter does, by its own sources: the program itself is not run. */
conformance({
  name: 'Envoy ext_authz over gRPC, in a stand-in,',
  needs: [],
  readme: 'gateways/envoy/README.md',
  start: async (setup) => {
    const client = new EnvoyClient(await setup.linkTo(setup.grpcAddress), setup.gatewayToken);
    const proxy = await startProxy(setup.upstream, askByGrpc(client, setup));
    return {
      url: proxy.url,
      stop: async () => {
        await proxy.stop();
        client.close();
      },
    };
  },
});

conformance({
  name: 'Envoy ext_authz over HTTP, in a stand-in,',
  needs: [],
  readme: 'gateways/envoy/README.md',
  declared: {
    'spoofed-unused-tollgate':
      'Envoy deletes headers by their names only, so over HTTP an X-Tollgate-* that Tollgate does not use reaches the application.',
  },
  start: (setup) => startProxy(setup.upstream, askByHttp(setup)),
});
