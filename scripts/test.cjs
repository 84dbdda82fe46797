// `npm test`. Like start.cjs, readable for a Node that is too old to run what it imports.
'use strict';

require('./launcher/node-version.cjs');

void import('./launcher/test.mjs').then(function (tests) {
  return tests.main(process.argv.slice(2));
});
