/**
 * What can be done about a detection besides reporting it. A new name needs a file in `src/responses`, and its entry in
 * `RESPONSES` there; the compiler asks for both.
 */
export const RESPONSE_NAMES = ['kill', 'deny', 'isolate', 'pause', 'restart'] as const;

/** Those that apps may ask for in their policies, where the operator allows it. */
export const POLICY_RESPONSE_NAMES = ['kill', 'deny'] as const satisfies readonly ResponseName[];

export type ResponseName = (typeof RESPONSE_NAMES)[number];

/** What a response guarantees, as in the field `varvel.response.guarantee` of detections; the better one first. */
export const GUARANTEES = ['before the effect', 'after the effect'] as const;
export type Guarantee = (typeof GUARANTEES)[number];
