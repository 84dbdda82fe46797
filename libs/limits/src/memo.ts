/**
 * What was found for the methods of one key. Most keys call one method again and again, so the last one stands
 * apart: finding it reads one object, where a Map reads three that lie apart in memory.
 */
export class Memo<Method extends object> {
  private last: Method | null = null;
  private found: unknown = undefined;
  private all: Map<Method, unknown> | null = null;

  get(method: Method): unknown {
    if (method === this.last) return this.found;
    const found = this.all?.get(method);
    if (found !== undefined) {
      this.last = method;
      this.found = found;
    }
    return found;
  }

  set(method: Method, found: unknown): void {
    if (this.last !== null) {
      this.all ??= new Map([[this.last, this.found]]);
      this.all.set(method, found);
    }
    this.last = method;
    this.found = found;
  }
}
