/**
 * What is found out about the names of the fields of a head, kept for all heads of the same names in the same order; each
 * reader has its own place. It says nothing of values.
 */
export class FieldNames {
  /** Of `readHeaders`. */
  single: object | null = null;
  /** Of the reader of a gateway's forwarded calls. */
  forwarded: object | null = null;
}
