/** The records of a CSV (RFC 4180), each by the names of its head. Throws when a record has not as many cells as the head. */
export function readCsv(csv: string): Record<string, string>[] {
  const records: string[][] = [];
  let cells: string[] = [];
  for (const [, quoted, plain = '', end] of csv.matchAll(
    /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n|$)/g,
  )) {
    if (end === '' && quoted === undefined && plain === '' && cells.length === 0) break;
    cells.push(quoted?.replaceAll('""', '"') ?? plain);
    if (end === ',') continue;
    records.push(cells);
    cells = [];
    if (end === '') break;
  }
  const [head = [], ...rows] = records;
  return rows.map((row) => {
    if (row.length !== head.length) throw new Error(`Cells do not fit the head: ${row.join()}`);
    return Object.fromEntries(head.map((name, index) => [name, row[index] ?? '']));
  });
}
