/**
 * What metering a call costs a gateway with the plugin, in processor time: Zipf over the keys, three paths, as calls are
 * handed to the reporter when they end; then with the batches of each second made from it. As a ratio against a Map of
 * counters by a text of the key, path, method and class.
 *
 * Run: npx tsx bench/metering.ts          ROUNDS=7 KEYS=100000 CALLS_A_SECOND=100000
 */
import {
  BATCH_RECORDS_MAX,
  batchBody,
  UsageAggregator,
  type MeteredCall,
} from '@core/gateway-plugin';

const ROUNDS = Number(process.env['ROUNDS'] ?? 7);
const KEYS = Number(process.env['KEYS'] ?? 100_000);
/** After so many calls a batch is cut. */
const CALLS_A_SECOND = Number(process.env['CALLS_A_SECOND'] ?? 100_000);
const SECONDS = 5;
const CALLS = SECONDS * CALLS_A_SECOND;
const PATHS = ['/pets', '/pets/{petId}', '/orders/{orderId}'];

/** As policies have them: one text for each key. */
const keyIds = Array.from({ length: KEYS }, (_, n) => `key${String(n).padStart(9, '0')}`);

/** Skewed as calls are: the k-th key is called 1/k as often as the first. None lies beside its like. */
function zipf(): Uint32Array {
  const weight = Math.log(KEYS + 1);
  return Uint32Array.from(
    { length: CALLS },
    () => ((Math.floor(Math.exp(Math.random() * weight)) - 1) * 7_919) % KEYS,
  );
}

/** A call as the plugin tells it, an object each. */
function callOf(key: number, number: number, second: number): MeteredCall {
  return {
    at: 1_795_000_000_000 + second * 1_000 + (number % 1_000),
    keyId: keyIds[key] ?? '',
    resourcePath: PATHS[number % PATHS.length] ?? '',
    apiId: 'bench00001',
    stage: 'prod',
    method: number % 10 === 0 ? 'POST' : 'GET',
    status: number % 50 === 0 ? 404 : 200,
    bytesOut: 1_000 + (number % 1_000),
    protocol: 'REST',
  };
}

/** Microseconds of processor a call, of work that is given a second's number and its calls from and to. */
function microsPerCall(ofSecond: (second: number, from: number, to: number) => void): number {
  const before = process.cpuUsage();
  for (let second = 0; second < SECONDS; second += 1)
    ofSecond(second, second * CALLS_A_SECOND, (second + 1) * CALLS_A_SECOND);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / CALLS;
}

const median = (values: readonly number[]) =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

const draws = zipf();
let sink = 0;
let records = 0;

/** Making the calls alone, which is the gateway's own. */
const made = () =>
  microsPerCall((second, from, to) => {
    for (let n = from; n < to; n += 1) sink += callOf(draws[n] ?? 0, n, second).bytesOut;
  });

/** Adding them, and making batches of them each second when `cuts`. */
function metered(cuts: boolean): number {
  const usage = new UsageAggregator();
  const micros = microsPerCall((second, from, to) => {
    for (let n = from; n < to; n += 1) {
      if (!usage.add(callOf(draws[n] ?? 0, n, second))) throw new Error('no room');
    }
    if (!cuts) return;
    while (usage.size > 0) {
      const taken = usage.take(BATCH_RECORDS_MAX);
      records += taken.length;
      sink += batchBody('bench', second, taken).length;
    }
  });
  return micros;
}

/** A counter by one text. */
const counted = () => {
  const counts = new Map<string, { calls: number; bytesOut: number }>();
  return microsPerCall((second, from, to) => {
    for (let n = from; n < to; n += 1) {
      const call = callOf(draws[n] ?? 0, n, second);
      const minute = Math.floor(call.at / 60_000);
      const text = `${minute} ${call.keyId} ${call.resourcePath} ${call.method} ${call.status}`;
      const count = counts.get(text);
      if (count === undefined) counts.set(text, { calls: 1, bytesOut: call.bytesOut });
      else {
        count.calls += 1;
        count.bytesOut += call.bytesOut;
      }
    }
    sink += counts.size;
  });
};

const [adding, cutting, texts] = [new Array<number>(), new Array<number>(), new Array<number>()];
for (let round = -1; round < ROUNDS; round += 1) {
  records = 0;
  const bare = made();
  const [add, cut, text] = [metered(false), metered(true), counted()];
  if (round < 0) continue; // warms all up
  adding.push(add - bare);
  cutting.push(cut - bare);
  texts.push(text - bare);
}
const [add, cut, text] = [median(adding), median(cutting), median(texts)];
console.log(
  `metering a call, ${KEYS.toLocaleString('en')} keys: ${add.toFixed(2)} us of CPU (aim 1); a Map by text ${text.toFixed(2)} us, ${(text / add).toFixed(1)} x`,
);
console.log(
  `with the batches of each second, ${(records / CALLS).toFixed(2)} records a call: ${cut.toFixed(2)} us`,
);
if (sink === 0) throw new Error('nothing was done');
