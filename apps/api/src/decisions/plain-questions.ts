import type { DecisionRequest } from '@io/limits';
import { BATCH_MAX, DECISION_SCHEMA, questionAt, type Questions } from './decision-request.js';

const LIMITS = DECISION_SCHEMA.properties;
const METHOD = new RegExp(LIMITS.method.pattern);
/** No escape and no second byte is needed for it: a backslash begins one, and what is below a space belongs into no text. */
const TEXT = String.raw`"([ !#-[\]-~]*)"`;

/** Each field as gateways write it, with one capture. */
const VALUES = {
  apiKey: `(?:${TEXT}|null)`,
  apiId: TEXT,
  stage: TEXT,
  method: TEXT,
  path: TEXT,
  resourcePath: TEXT,
  sourceIp: `(?:${TEXT}|null)`,
  cost: String.raw`(0|[1-9]\d{0,6})`,
  dryRun: '(true|false)',
};
const isField = (name: string): name is keyof typeof VALUES => Object.hasOwn(VALUES, name);

const BATCH = '{"decisions":[';
const END_OF_BATCH = ']}';
const COMMA = 0x2c;
/** Orders of fields that are known; gateways send a handful. */
const SHAPES_MAX = 16;

/**
 * Reads questions as gateways send them: a flat JSON object, or `{"decisions":[…]}` of such, in ASCII without spaces
 * between the fields and without escapes, in an order of fields that came before. Then a regular expression reads a
 * question at once, in half the time of any reader that goes over it; the general reader reads the same
 * (plain-questions.spec.ts), and what it read is learned from.
 */
export class PlainQuestions {
  private readonly shapes: QuestionShape[] = [];
  /** Of the question before. */
  private shape: QuestionShape | null = null;
  /** Which question of the last text had no shape. */
  private missed = 0;

  /** Null for everything that is not plain, or not valid. `text` has one character a byte. */
  read(text: string, accountId: string): Questions | null {
    if (!text.startsWith(BATCH)) {
      const one = this.question(text, 0, accountId, null);
      return one && this.shape?.endsAt === text.length ? { one } : null;
    }
    const many: DecisionRequest[] = [];
    let before: DecisionRequest | null = null;
    let at = BATCH.length - 1;
    do {
      before = this.question(text, at + 1, accountId, before);
      if (!before || !this.shape || many.length === BATCH_MAX) return this.miss(many.length);
      many.push(before);
      at = this.shape.endsAt;
    } while (text.charCodeAt(at) === COMMA);
    const isWhole = text.startsWith(END_OF_BATCH, at) && at + END_OF_BATCH.length === text.length;
    return isWhole ? { many } : null;
  }

  /** Learns from a valid body that was not read here what the next ones may look like. */
  learn(body: unknown): void {
    if (this.shapes.length >= SHAPES_MAX) return;
    const fields = Object.keys(questionAt(body, this.missed));
    if (!fields.every(isField) || this.shapes.some((shape) => shape.has(fields))) return;
    this.shapes.push(new QuestionShape(fields));
  }

  private miss(at: number): null {
    this.missed = at;
    return null;
  }

  private question(
    text: string,
    at: number,
    accountId: string,
    before: DecisionRequest | null,
  ): DecisionRequest | null {
    const asBefore = this.shape?.read(text, at, accountId, before);
    if (asBefore) return asBefore;
    for (const shape of this.shapes) {
      const read = shape === this.shape ? null : shape.read(text, at, accountId, before);
      if (!read) continue;
      this.shape = shape;
      return read;
    }
    return null;
  }
}

/** All questions with the same fields in the same order. */
class QuestionShape {
  /** Where the question ends that was read last. */
  endsAt = 0;
  private readonly pattern: RegExp;
  /** The capture of each field, 0 for one that is not there. */
  private readonly apiKey: number;
  private readonly apiId: number;
  private readonly stage: number;
  private readonly method: number;
  private readonly path: number;
  private readonly resourcePath: number;
  private readonly sourceIp: number;
  private readonly cost: number;
  private readonly dryRun: number;

  /** Of a valid question. */
  constructor(private readonly fields: readonly (keyof typeof VALUES)[]) {
    const members = fields.map((field) => `"${field}":${VALUES[field]}`);
    this.pattern = new RegExp(String.raw`\{${members.join(',')}\}`, 'y');
    const captureOf = (field: keyof typeof VALUES) => fields.indexOf(field) + 1;
    this.apiKey = captureOf('apiKey');
    this.apiId = captureOf('apiId');
    this.stage = captureOf('stage');
    this.method = captureOf('method');
    this.path = captureOf('path');
    this.resourcePath = captureOf('resourcePath');
    this.sourceIp = captureOf('sourceIp');
    this.cost = captureOf('cost');
    this.dryRun = captureOf('dryRun');
  }

  has(fields: readonly string[]): boolean {
    return fields.length === this.fields.length && fields.every((f, i) => f === this.fields[i]);
  }

  /**
   * The question that begins there; null when it has another shape, or is not valid. Texts that are likely to be those of
   * the question before are the same texts: those need not be hashed again.
   */
  read(
    text: string,
    at: number,
    accountId: string,
    before: DecisionRequest | null,
  ): DecisionRequest | null {
    const { pattern } = this;
    pattern.lastIndex = at;
    const found = pattern.exec(text);
    if (!found) return null;
    this.endsAt = pattern.lastIndex;
    const asked = {
      accountId,
      apiKey: this.apiKey === 0 ? null : (found[this.apiKey] ?? null),
      apiId: same(found[this.apiId], before?.apiId),
      stage: same(found[this.stage], before?.stage),
      method: same(found[this.method], before?.method),
      path: this.path === 0 ? undefined : found[this.path],
      resourcePath: this.resourcePath === 0 ? undefined : found[this.resourcePath],
      sourceIp: this.sourceIp === 0 ? null : (found[this.sourceIp] ?? null),
      cost: this.cost === 0 ? 1 : Number(found[this.cost]),
      dryRun: this.dryRun !== 0 && found[this.dryRun] === 'true',
    };
    return isValid(asked) ? asked : null;
  }
}

const same = (text = '', before = '') => (text === before ? before : text);

function isValid(asked: DecisionRequest): boolean {
  const { apiKey, apiId, stage, method, path = '', resourcePath = '', sourceIp, cost } = asked;
  return (
    (apiKey === null || apiKey.length <= LIMITS.apiKey.maxLength) &&
    apiId !== '' &&
    apiId.length <= LIMITS.apiId.maxLength &&
    stage !== '' &&
    stage.length <= LIMITS.stage.maxLength &&
    (method === 'GET' || method === 'POST' || METHOD.test(method)) &&
    path.length <= LIMITS.path.maxLength &&
    resourcePath.length <= LIMITS.resourcePath.maxLength &&
    (sourceIp === null || sourceIp.length <= LIMITS.sourceIp.maxLength) &&
    cost <= LIMITS.cost.maximum
  );
}
