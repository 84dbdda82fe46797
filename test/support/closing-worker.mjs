// @ts-check
/**
 * What the worker does at a month's end, as a process of its own: it closes what is due, makes final what is due, and ends. It kills
 * itself with SIGKILL at its n-th statement: before that is sent, or when it is on its way and nobody hears of its end.
 *
 * node closing-worker.mjs <folder of the built libs> <n> <before|sent>
 */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import pg from 'pg';

const [libs = '', statement = '', moment = ''] = process.argv.slice(2);
/** @param {string} lib */
const door = (lib) => import(pathToFileURL(join(libs, lib, 'src/io/index.js')).href);

await import('reflect-metadata');
const { NestFactory } = await import('@nestjs/core');
const { PlatformModule } = await door('platform');
const { BillingModule, FinalisingService, InvoicingService } = await door('billing');
class Worker {}
const app = await NestFactory.createApplicationContext(
  { module: Worker, imports: [PlatformModule, BillingModule] },
  { logger: false },
);

let statementsLeft = Number(statement);
const die = () => process.kill(process.pid, 'SIGKILL');
const { query } = pg.Client.prototype;
pg.Client.prototype.query = /** @type {typeof query} */ (
  function (/** @type {unknown[]} */ ...args) {
    statementsLeft -= 1;
    if (statementsLeft === 0 && moment === 'before') die();
    const answer = Reflect.apply(query, this, args);
    if (statementsLeft === 0) setImmediate(die);
    return answer;
  }
);

await app.get(InvoicingService).closeDue();
await app.get(FinalisingService).finaliseDue();
process.stdout.write(`${Number(statement) - statementsLeft} statements`);
await app.close();
