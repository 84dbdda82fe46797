import type { DecisionRequest } from '@io/limits';
import { BATCH_MAX, DECISION_SCHEMA } from './decision-request.js';

const { apiKey, apiId, stage, path, resourcePath, sourceIp, ...others } =
  DECISION_SCHEMA.properties;
const METHOD_PATTERN = new RegExp(others.method.pattern);
/** A backslash begins an escape, what is below a space belongs into no text, and what is no ASCII is told in several bytes. */
const IS_PLAIN = /^[ -[\]-~]*$/;
const DIGITS = /(?:0|[1-9]\d{0,6})(?=[,}])/y;
const BATCH = '{"decisions":[';
const [QUOTE, COMMA, OPEN, CLOSE] = [0x22, 0x2c, 0x7b, 0x7d];

/** The fields, a bit each; both paths have one in common, since a question has one of them. */
const API_KEY = 1;
const API_ID = 2;
const STAGE = 4;
const METHOD = 8;
const PATH = 16;
const RESOURCE_PATH = 16 | 256;
const SOURCE_IP = 32;
const COST = 64;
const DRY_RUN = 128;
const REQUIRED = API_ID | STAGE | METHOD | PATH;

/** How each begins, by its first letter: told apart without making a text of its name. */
const FIELDS: [string, number][][] = [];
for (const [name, field] of Object.entries({
  apiKey: API_KEY,
  apiId: API_ID,
  stage: STAGE,
  method: METHOD,
  path: PATH,
  resourcePath: RESOURCE_PATH,
  sourceIp: SOURCE_IP,
  cost: COST,
  dryRun: DRY_RUN,
})) {
  (FIELDS[name.charCodeAt(0)] ??= []).push([`"${name}":`, field]);
}

/**
 * Reads questions as gateways send them: a flat JSON object, or `{"decisions":[…]}` of such, in ASCII without spaces
 * between the fields and without escapes. Null for everything else: the general reader takes it, or refuses it with the
 * reason. `text` has one character a byte. What is read here that one reads the same (plain-questions.spec.ts), at three times the price.
 */
export function readPlainQuestions(
  text: string,
  accountId: string,
): { readonly one: DecisionRequest } | { readonly many: DecisionRequest[] } | null {
  if (!IS_PLAIN.test(text)) return null;
  const reader = new PlainReader(text, accountId);
  if (!text.startsWith(BATCH)) {
    const one = reader.question();
    return one && reader.at === text.length ? { one } : null;
  }
  reader.at = BATCH.length;
  const many: DecisionRequest[] = [];
  do {
    const question = reader.question();
    if (!question || many.length === BATCH_MAX) return null;
    many.push(question);
  } while (reader.takes(COMMA));
  return text.endsWith(']}') && reader.at === text.length - 2 ? { many } : null;
}

/** Goes over the text once; `at` is where it stands. */
class PlainReader {
  at = 0;
  /** Of the question before: a gateway asks about one stage, and a text that is there need not be made and hashed again. */
  private apiId = '';
  private stage = '';
  private method = '';

  constructor(
    private readonly text: string,
    private readonly accountId: string,
  ) {}

  /** The question that begins here; null when it is not a plain one, or not a valid one. */
  question(): DecisionRequest | null {
    const asked = {
      accountId: this.accountId,
      apiKey: null as string | null,
      apiId: '',
      stage: '',
      method: '',
      path: undefined as string | undefined,
      resourcePath: undefined as string | undefined,
      sourceIp: null as string | null,
      cost: 1,
      dryRun: false,
    };
    if (!this.takes(OPEN)) return null;
    let seen = 0;
    do {
      const field = this.field();
      switch (field) {
        case API_KEY:
          if ((asked.apiKey = this.quoted(apiKey.maxLength)) === null) return null;
          break;
        case API_ID:
          asked.apiId = this.apiId = this.quotedLike(this.apiId, apiId.maxLength);
          if (!asked.apiId) return null;
          break;
        case STAGE:
          asked.stage = this.stage = this.quotedLike(this.stage, stage.maxLength);
          if (!asked.stage) return null;
          break;
        case METHOD:
          asked.method = this.method = this.quotedLike(this.method, METHOD_MAX);
          if (!isMethod(asked.method)) return null;
          break;
        case PATH:
          if ((asked.path = this.quoted(path.maxLength) ?? undefined) === undefined) return null;
          break;
        case RESOURCE_PATH:
          asked.resourcePath = this.quoted(resourcePath.maxLength) ?? undefined;
          if (asked.resourcePath === undefined) return null;
          break;
        case SOURCE_IP:
          if ((asked.sourceIp = this.quoted(sourceIp.maxLength)) === null) return null;
          break;
        case COST:
          if (Number.isNaN((asked.cost = this.digits()))) return null;
          break;
        case DRY_RUN:
          asked.dryRun = this.text.startsWith('true', this.at);
          if (!asked.dryRun && !this.text.startsWith('false', this.at)) return null;
          this.at += asked.dryRun ? 4 : 5;
          break;
        default:
          return null;
      }
      // What comes twice, path and resourcePath among it, is for the general reader.
      if ((seen & field) !== 0) return null;
      seen |= field;
    } while (this.takes(COMMA));
    return this.takes(CLOSE) && (seen & REQUIRED) === REQUIRED ? asked : null;
  }

  takes(char: number): boolean {
    if (this.text.charCodeAt(this.at) !== char) return false;
    this.at += 1;
    return true;
  }

  /** The field whose name begins here; 0 when it is none. */
  private field(): number {
    const known = FIELDS[this.text.charCodeAt(this.at + 1)];
    if (known === undefined) return 0;
    for (const [name, field] of known) {
      if (!this.text.startsWith(name, this.at)) continue;
      this.at += name.length;
      return field;
    }
    return 0;
  }

  /** The text between the quotes that begin here. */
  private quoted(lengthMax: number): string | null {
    if (!this.takes(QUOTE)) return null;
    const end = this.text.indexOf('"', this.at);
    if (end < 0 || end - this.at > lengthMax) return null;
    const value = this.text.slice(this.at, end);
    this.at = end + 1;
    return value;
  }

  /** The same where it is likely to be `last`; empty when no text stands there. */
  private quotedLike(last: string, lengthMax: number): string {
    const end = this.at + 1 + last.length;
    const isLast =
      last !== '' &&
      this.text.charCodeAt(this.at) === QUOTE &&
      this.text.charCodeAt(end) === QUOTE &&
      this.text.startsWith(last, this.at + 1);
    if (!isLast) return this.quoted(lengthMax) ?? '';
    this.at = end + 1;
    return last;
  }

  private digits(): number {
    DIGITS.lastIndex = this.at;
    const digits = DIGITS.exec(this.text)?.[0];
    if (digits === undefined || Number(digits) > others.cost.maximum) return NaN;
    this.at += digits.length;
    return Number(digits);
  }
}

const METHOD_MAX = 64;
/** Most calls need no pattern to be known. */
const isMethod = (method: string) =>
  method === 'GET' || method === 'POST' || METHOD_PATTERN.test(method);
