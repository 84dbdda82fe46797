import { certify } from './certify.js';
import { HELP, readOptions } from './options.js';

async function main(): Promise<number> {
  const options = readOptions(process.argv.slice(2), process.env);
  if (options === null) {
    console.log(HELP);
    return 0;
  }
  return (await certify(options, (line) => console.log(line))) ? 0 : 1;
}

process.exitCode = await main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  return 2;
});
