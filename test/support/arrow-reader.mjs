import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const { tableFromIPC, Type } = require('apache-arrow');
const wasm = require('parquet-wasm');

/** The rows of a Parquet file and the types of its columns, see `read-parquet.ts`. */
export function readParquet(bytes) {
  const table = tableFromIPC(wasm.readParquet(bytes).intoIPCStream());
  const { fields } = table.schema;
  const types = Object.fromEntries(fields.map(({ name, type }) => [name, nameOf(type)]));
  return { types, rows: rowsOf(table, fields) };
}

function rowsOf(table, fields) {
  return Array.from({ length: table.numRows }, (_, at) =>
    Object.fromEntries(
      fields.map(({ name, type }, column) => [name, text(type, table.getChildAt(column).get(at))]),
    ),
  );
}

function nameOf(type) {
  if (type.typeId === Type.Decimal) return `decimal(${type.precision}, ${type.scale})`;
  if (type.typeId === Type.Timestamp) return `timestamp(${type.timezone})`;
  return String(type);
}

function text(type, value) {
  if (value === null) return null;
  if (type.typeId === Type.Decimal) return decimal(value, type.scale);
  if (type.typeId === Type.Timestamp) return new Date(Number(value)).toISOString();
  return String(value);
}

/** 128 bits, little-endian, in words of 32. */
function decimal(words, scale) {
  let unscaled = 0n;
  for (const word of [...words].reverse()) unscaled = (unscaled << 32n) | BigInt(word >>> 0);
  unscaled = BigInt.asIntN(128, unscaled);
  const sign = unscaled < 0n ? '-' : '';
  const digits = String(unscaled < 0n ? -unscaled : unscaled).padStart(scale + 1, '0');
  const fraction = digits.slice(-scale).replace(/0+$/, '');
  return sign + digits.slice(0, -scale) + (fraction === '' ? '' : `.${fraction}`);
}
