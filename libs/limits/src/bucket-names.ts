import type { RateBucket } from './rate-authority.js';

/** What a bucket is called, and where its state is kept. */
export type BucketName = Pick<RateBucket, 'name' | 'home'>;

/** A key in a plan. */
export interface KeyInPlanRef {
  readonly keyId: string;
  readonly usagePlanId: string;
}

/** A stage of an api. */
export interface StageOfApiRef {
  readonly apiId: string;
  readonly stage: string;
}

/** The bucket of a key in a plan. */
export const planBucket = ({ keyId, usagePlanId }: KeyInPlanRef): BucketName => ({
  name: `plan ${usagePlanId}/${keyId}`,
  home: keyId,
});

/** The bucket of a key in a plan for one method, by the method's name. */
export const methodBucket = (
  { keyId, usagePlanId }: KeyInPlanRef,
  { apiId, stage }: StageOfApiRef,
  method: string,
): BucketName => ({
  name: `method ${usagePlanId}/${keyId}/${apiId}/${stage}/${method}`,
  home: keyId,
});

/** The bucket that all keys share on a stage: of one method, or with `*` of all that have none of their own. */
export const stageBucket = ({ apiId, stage }: StageOfApiRef, method: string): BucketName => ({
  name: `stage ${apiId}/${stage}/${method}`,
  home: `stage ${apiId}/${stage}`,
});

/** The bucket that all calls of an account share. */
export const accountBucket = (accountId: string): BucketName => ({
  name: `account ${accountId}`,
  home: `account ${accountId}`,
});
