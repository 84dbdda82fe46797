import { atPointer, type FieldFault } from '@core/kernel';
import { isObject } from './json-fields.js';
import { METERS, type Meter } from './meters.js';
import { FAULTS_OF_RECORD_MAX } from './quarantine.js';

/** Decimals in strings, by meter. */
export type Quantities = Readonly<Partial<Record<Meter, string>>>;

const METER_NAMES: ReadonlySet<string> = new Set<string>(METERS);
const QUANTITY = /^(?:0|[1-9]\d{0,25})(?:\.\d{1,12})?$/;
const QUANTITY_LENGTH_MAX = 39;
const quantitySays =
  'must be a decimal in a string, such as "12" or "0.5", with at most 26 digits before and 12 after the point';
const NAME_TOLD_MAX = 100;

/** Notes what is wrong with the quantities of a record. */
export function checkQuantities(quantities: unknown, faults: FieldFault[]): void {
  if (!isObject(quantities)) {
    refuse(faults, 'quantities', 'must be an object of quantities by meter');
    return;
  }
  let count = 0;
  for (const meter in quantities) {
    count += 1;
    const quantity = quantities[meter];
    if (!METER_NAMES.has(meter))
      refuse(
        faults,
        `quantities/${shortName(meter)}`,
        `is not a meter; known are ${METERS.join(', ')}`,
      );
    else if (
      typeof quantity !== 'string' ||
      quantity.length > QUANTITY_LENGTH_MAX ||
      !QUANTITY.test(quantity)
    )
      refuse(faults, `quantities/${meter}`, quantitySays);
    if (faults.length >= FAULTS_OF_RECORD_MAX) return;
  }
  if (count === 0) refuse(faults, 'quantities', 'must have at least one meter');
}

/** Quantities as text, the same for the same facts: in the order of meters, without zeros at their ends. */
export function quantitiesContent(quantities: Quantities): string {
  let content = '';
  for (const meter of METERS) {
    const quantity = quantities[meter];
    if (quantity !== undefined) content += `\t${meter}=${shortest(quantity)}`;
  }
  return content;
}

/** A decimal without zeros at its end. */
function shortest(quantity: string): string {
  return quantity.includes('.') ? quantity.replace(/\.?0+$/, '') : quantity;
}

/** Notes a fault of a field of a record; null points at the record. */
export function refuse(faults: FieldFault[], field: string | null, detail: string): void {
  if (faults.length < FAULTS_OF_RECORD_MAX)
    faults.push({ pointer: field === null ? '' : `/${field}`, detail });
}

/** A name that somebody made up, as a part of a pointer that is kept. */
export const shortName = (name: string) => atPointer('', name.slice(0, NAME_TOLD_MAX)).slice(1);
