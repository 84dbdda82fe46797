import type { Prisma } from '@io/platform';

/** A plain value as Prisma stores it in a JSON column; bigints and decimals are strings in it already. */
export function storedJson(value: object): Prisma.InputJsonObject {
  return JSON.parse(JSON.stringify(value)) as Prisma.InputJsonObject;
}

/** A list of plain values as Prisma stores it in a JSON column. */
export function storedList(values: readonly object[]): Prisma.InputJsonArray {
  return JSON.parse(JSON.stringify(values)) as Prisma.InputJsonArray;
}
