/** A form value as Stripe reads it: texts, nested by brackets. */
export type FormValue = string | FormValue[] | { [name: string]: FormValue };
export type Form = Record<string, FormValue>;

/** Reads `a[b][0][c]=d` as Stripe does: numbers in brackets are places in a list. */
export function parseForm(text: string): Form {
  const root: Form = {};
  for (const [name, value] of new URLSearchParams(text)) {
    const [first = '', ...rest] = name.split(/\[|\]\[|\]/).filter((part) => part !== '');
    let at: Record<string, FormValue> = root;
    let key = first;
    for (const part of rest) {
      const next = at[key];
      at[key] = typeof next === 'object' ? next : /^\d+$/.test(part) ? [] : {};
      at = at[key] as Record<string, FormValue>;
      key = part;
    }
    at[key] = value;
  }
  return root;
}

export const textOf = (value: FormValue | undefined): string | undefined =>
  typeof value === 'string' && value !== '' ? value : undefined;

export const formOf = (value: FormValue | undefined): Form =>
  typeof value === 'object' && !Array.isArray(value) ? value : {};

export const listOf = (value: FormValue | undefined): FormValue[] =>
  Array.isArray(value) ? value : [];
