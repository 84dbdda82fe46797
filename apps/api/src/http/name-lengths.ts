/**
 * How long some names are, a bit for each length: most header fields are told apart from them by it, without a look-up.
 * Lengths of 32 and more fall on those of 0 and more, so whatever may be one of the names has to be compared with them.
 */
export class NameLengths {
  private readonly bits: number;

  constructor(names: Iterable<string>) {
    let bits = 0;
    for (const { length } of names) bits |= 1 << length;
    this.bits = bits;
  }

  mayBe(name: string): boolean {
    return ((this.bits >>> name.length) & 1) !== 0;
  }
}
