import type { Decision, DecisionSubject } from '@io/limits';
import { isoText } from '../decisions/decision-answer.js';
import { toBytes } from './wire.js';

/** So many subjects have a frame; when one more wants one, all begin anew. */
const FRAMES_MAX = 1_000;

/** A whole number in the bytes of an answer, as digits or as a varint, and which numbers take as many bytes. */
interface Place {
  readonly at: number;
  readonly length: number;
  /** What a byte counts more than the one beside it: 10 for digits, the last one least; 128 for a varint, the first one least. */
  readonly base: 10 | 128;
  readonly from: number;
  readonly to: number;
  value: number;
}

/** Where an answer that lets a call pass says its limits, in its field `RateLimit`. */
const STATE = /"key";r=(\d+);t=0, "quota";r=(\d+);t=(\d+)/dg;

/**
 * Answers of one face to calls that pass, kept as bytes by what they are about: of two answers about one key and method
 * only numbers, the id and the time differ, so they are written over those of the answer before. Bytes that this gives
 * out are good until it is asked again.
 */
export class AnswerFrames {
  private readonly frames = new Map<DecisionSubject, Frame>();

  /** `times`: how often an answer says the id of its decision, and its time. */
  constructor(private readonly times: number) {}

  /** The answer, where one that differs in nothing else has been kept. `variant` is what its bytes depend on beside the decision. */
  find(decision: Decision, variant = false): Buffer | null {
    const { subject } = decision;
    const frame = subject && this.frames.get(subject);
    return frame?.variant === variant ? frame.write(decision) : null;
  }

  /**
   * The bytes of an answer, which are kept where another can be written over them. `leftAt` is where it says in protobuf
   * what is left and for how long, where it does: a varint field, and a message whose only field is a varint.
   */
  keep(answer: string, { decision, leftAt, variant = false }: AboutAnswer): Buffer {
    const bytes = toBytes(answer);
    const { subject } = decision;
    const frame = subject && Frame.of(bytes, answer, { decision, leftAt, variant }, this.times);
    if (subject && frame) {
      if (this.frames.size >= FRAMES_MAX) this.frames.clear();
      this.frames.set(subject, frame);
    }
    return bytes;
  }
}

interface AboutAnswer {
  readonly decision: Decision;
  readonly leftAt?: number | undefined;
  readonly variant?: boolean;
}

class Frame {
  private constructor(
    private readonly bytes: Buffer,
    readonly variant: boolean,
    private readonly limits: Limits,
    private readonly places: readonly Place[],
    private readonly idsAt: readonly number[],
    private readonly timesAt: readonly number[],
    private time: string,
  ) {}

  static of(
    bytes: Buffer,
    answer: string,
    { decision, leftAt, variant }: Required<AboutAnswer>,
    times: number,
  ): Frame | null {
    const limits = limitsOf(decision);
    if (!limits) return null;
    const [state, another] = answer.matchAll(STATE);
    if (!state?.indices || another) return null;
    const [, r = [0], q = [0], t = [0]] = state.indices;
    const places = [r, q, t].map(([at], index) => digits(at, numbers[index] ?? 0));
    if (leftAt !== undefined) {
      const left = varint(leftAt + 1, numbers[3] ?? 0);
      places.push(left, varint(left.at + left.length + 3, numbers[4] ?? 0));
    }
    if (!places.every((place) => isSaid(bytes, place))) return null;
    const time = isoText(decision.atMs);
    const idsAt = placesOf(answer, decision.decisionId);
    const timesAt = placesOf(answer, time);
    // As often as the face says them: neither was found in what a person wrote.
    if (idsAt.length !== times || timesAt.length !== times) return null;
    return new Frame(bytes, variant, limits, places, idsAt, timesAt, time);
  }

  /** Writes what differs over what is there; null when more does, or a number takes more or fewer bytes. */
  write(decision: Decision): Buffer | null {
    const { bytes, places, limits } = this;
    const now = limitsOf(decision);
    if (
      now?.rate !== limits.rate ||
      now.burst !== limits.burst ||
      now.quota !== limits.quota ||
      now.periodMs !== limits.periodMs ||
      now.isQuotaNearer !== limits.isQuotaNearer
    ) {
      return null;
    }
    for (let i = 0; i < places.length; i += 1) {
      const place = places[i];
      const value = numbers[i] ?? 0;
      if (!place || value < place.from || value >= place.to) return null;
    }
    for (let i = 0; i < places.length; i += 1) {
      const place = places[i];
      const value = numbers[i] ?? 0;
      if (place && place.value !== value) put(bytes, place, value);
    }
    for (const at of this.idsAt) putText(bytes, at, decision.decisionId);
    const time = isoText(decision.atMs);
    if (time !== this.time) {
      this.time = time;
      for (const at of this.timesAt) putText(bytes, at, time);
    }
    return bytes;
  }
}

/** What is the same in all answers under one plan. */
interface Limits {
  readonly rate: number;
  readonly burst: number;
  readonly quota: number;
  readonly periodMs: number;
  readonly isQuotaNearer: boolean;
}

interface Left {
  readonly remaining: number;
}

/** Whether the quota leaves fewer calls than the bucket. */
export const isQuotaNearer = (rate: Left, quota: Left): boolean => quota.remaining < rate.remaining;

/** What is left, in the order of a frame's places: of the bucket, of the quota and for how many seconds, and the nearer one of both. */
const numbers = new Float64Array(5);

/** The limits of a decision whose answer can be kept, with their `numbers`; null for another. */
function limitsOf({ allowed, shadowed, rate, quota }: Decision): Limits | null {
  if (!allowed || shadowed !== null || !rate || !quota || rate.remaining < 1) return null;
  const isNearer = isQuotaNearer(rate, quota);
  const nearer = isNearer ? quota : rate;
  numbers[0] = Math.floor(rate.remaining);
  numbers[1] = Math.floor(quota.remaining);
  numbers[2] = Math.ceil(quota.resetMs / 1_000);
  numbers[3] = Math.floor(nearer.remaining);
  numbers[4] = Math.ceil(nearer.resetMs / 1_000);
  return {
    rate: rate.rateLimit,
    burst: rate.limit,
    quota: quota.limit,
    periodMs: quota.periodMs,
    isQuotaNearer: isNearer,
  };
}

function digits(at: number, value: number): Place {
  const { length } = String(value);
  return {
    at,
    length,
    base: 10,
    from: length > 1 ? 10 ** (length - 1) : 0,
    to: 10 ** length,
    value,
  };
}

/** A varint in a field that is left out when it is 0, up to 2^32. */
function varint(at: number, value: number): Place {
  let length = 1;
  while (value >= 128 ** length) length += 1;
  return {
    at,
    length,
    base: 128,
    from: length > 1 ? 128 ** (length - 1) : 1,
    to: Math.min(128 ** length, 2 ** 32),
    value,
  };
}

/** Whether the bytes say the place's number there. */
function isSaid(bytes: Buffer, place: Place): boolean {
  const { at, length, value, from, to } = place;
  const copy = Buffer.from(bytes.subarray(at, at + length));
  if (value < from || value >= to || copy.length < length) return false;
  put(copy, { ...place, at: 0 }, value);
  return copy.equals(bytes.subarray(at, at + length));
}

function put(bytes: Buffer, place: Place, value: number): void {
  place.value = value;
  let rest = value;
  if (place.base === 10) {
    for (let at = place.at + place.length - 1; at >= place.at; at -= 1) {
      const tens = Math.floor(rest / 10);
      bytes[at] = 48 + rest - tens * 10;
      rest = tens;
    }
    return;
  }
  const last = place.at + place.length - 1;
  for (let at = place.at; at <= last; at += 1) {
    const more = Math.floor(rest / 128);
    bytes[at] = rest - more * 128 + (at < last ? 128 : 0);
    rest = more;
  }
}

function putText(bytes: Buffer, at: number, text: string): void {
  for (let i = 0; i < text.length; i += 1) bytes[at + i] = text.charCodeAt(i);
}

function placesOf(answer: string, text: string): number[] {
  const places: number[] = [];
  for (let at = answer.indexOf(text); at >= 0; at = answer.indexOf(text, at + 1)) places.push(at);
  return places;
}
