/** A policy is at most this long; a longer one is refused. */
export const MAX_POLICY_BYTES = 64 * 1024;

/**
 * `verified`: it was there before the app began, so it is the tenant's. `unverified`: what runs in the container may have
 * written it, so it may only add to what is watched.
 */
export type PolicyTrust = 'verified' | 'unverified';

/** Where a container's policy is from, and what it says. */
export interface PolicyText {
  /** For people, such as the name of the label or the file. */
  readonly name: string;
  readonly text: string;
  readonly trust: PolicyTrust;
  /** Why it is not taken at all, whatever the text. */
  readonly refusal?: string;
  /** What else its app is to be told. */
  readonly note?: string;
}
