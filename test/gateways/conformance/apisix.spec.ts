import { askAsApisix } from './stand-ins/forward-auth.js';
import { startProxy } from './stand-ins/proxy.js';
import { conformance } from './suite.js';

const OWN_BODY = 'Without a decision the plugin answers 503 with nginx’s own body, not Amazon’s.';
const HANDED_ON =
  'The plugin hands a 5xx of the service on to the client, also where allow_degradation lets calls pass while nobody listens.';

/** Speaks as APISIX's plugin does, by its own sources: the program itself is not run. */
conformance({
  name: 'APISIX forward-auth, in a stand-in,',
  needs: [],
  readme: 'gateways/apisix/README.md',
  declared: {
    'good-key-limits':
      'The plugin has no way to put a header of the decision on an answer that passed, so clients see the limits on refusals only.',
    'away-closed-gone': OWN_BODY,
    'away-closed-silent': OWN_BODY,
    'away-closed-broken': HANDED_ON,
    'away-open-broken': HANDED_ON,
  },
  start: (setup) => startProxy(setup.upstream, askAsApisix(setup)),
});
