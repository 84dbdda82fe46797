import { Prisma } from './database.js';

/**
 * Whether an error is the database's refusal of a second row with the same key, and if given, by this constraint
 * or one over these columns. For repositories, which turn it into a refusal that says what is already there.
 */
export function isUniqueViolation(error: unknown, constraintOrColumn?: string): boolean {
  if (!(error instanceof Prisma.PrismaClientKnownRequestError)) return false;
  const text = JSON.stringify(error.meta ?? {});
  if (error.code === 'P2002')
    return constraintOrColumn === undefined || text.includes(constraintOrColumn);
  return (
    error.code === 'P2010' && text.includes('23505') && text.includes(constraintOrColumn ?? '')
  );
}

/** Whether an error is the database's refusal of a reference to a row that is not there, or is still in use. */
export function isReferenceViolation(error: unknown): boolean {
  return error instanceof Prisma.PrismaClientKnownRequestError && error.code === 'P2003';
}
