// `npm start`. This file and the one it requires are written so that Node 12 can read them: an old Node has to get as far as
// the sentence that says so.
'use strict';

require('./launcher/node-version.cjs');

void import('./launcher/main.mjs').then(function (launcher) {
  return launcher.main(process.argv.slice(2));
});
