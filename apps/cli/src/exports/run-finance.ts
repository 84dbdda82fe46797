import type { Command } from '../command.js';
import { explanationTable, type Explanation } from './explanation-table.js';
import { readCsv } from './read-csv.js';
import { reportText } from './report.js';
import { saveExport } from './save-export.js';
import { ask, askForExport } from './service.js';
import type { Terminal } from './terminal.js';

/** Lists exports, saves one, shows a report or explains a line; messages go to `say`, what was asked for to `print`. */
export async function runFinance(
  command: Extract<Command, { name: 'exports' | 'export' | 'report' | 'explain' }>,
  {
    say,
    print,
    show,
    terminal,
  }: {
    readonly say: (line: string) => void;
    readonly print: (line: string) => void;
    readonly show?: ((line: string) => void) | undefined;
    /** Of what `print` prints on. */
    readonly terminal: Terminal;
  },
): Promise<void> {
  const { service } = command;
  switch (command.name) {
    case 'exports': {
      const answer = await ask(service, '/v1/exports');
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what the api documents
      const { items } = (await answer.json()) as { items: { name: string; description: string }[] };
      const width = Math.max(...items.map(({ name }) => name.length));
      for (const { name, description } of items) print(`${name.padEnd(width)}  ${description}`);
      return;
    }
    case 'export': {
      const { path, wanted } = command;
      const { lines, bytes } = await saveExport(service, wanted, { path, show });
      const rows = wanted.format === 'parquet' ? '' : `${lines} lines, `;
      say(`${path}: ${rows}${bytes} bytes`);
      return;
    }
    case 'report': {
      const answer = await askForExport(service, command.wanted);
      const csv = await answer.text();
      print(
        command.isCsv
          ? csv.replace(/\r\n$/, '')
          : reportText(command.report, readCsv(csv), terminal),
      );
      return;
    }
    case 'explain': {
      const [invoice, line] = [command.invoiceId, command.lineId].map(encodeURIComponent);
      const answer = await ask(service, `/v1/invoices/${invoice}/lines/${line}/explanation`);
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what the api documents
      print(explanationTable((await answer.json()) as Explanation));
      return;
    }
  }
}
