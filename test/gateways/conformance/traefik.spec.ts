import { askAsTraefik } from './stand-ins/forward-auth.js';
import { startProxy } from './stand-ins/proxy.js';
import { conformance } from './suite.js';

const NO_DECISION =
  'Without a decision Traefik answers 500, and after 30 s when the service hangs: both are fixed in its code.';
const NEVER_OPEN = 'Traefik has no way to let calls pass without a decision.';

/** Speaks as Traefik's middleware does, by its own sources: the program itself is not run. */
conformance({
  name: 'Traefik forwardAuth, in a stand-in,',
  needs: [],
  readme: 'gateways/traefik/README.md',
  declared: {
    'good-key-limits':
      'Traefik has no way to put a header of the decision on an answer that passed, so clients see the limits on refusals only.',
    'away-closed-gone': NO_DECISION,
    'away-closed-silent': NO_DECISION,
    'away-closed-broken': NO_DECISION,
    'away-open-gone': NEVER_OPEN,
    'away-open-silent': NEVER_OPEN,
    'away-open-broken': NEVER_OPEN,
  },
  start: (setup) => startProxy(setup.upstream, askAsTraefik(setup)),
});
