/**
 * What can be done about a detection besides reporting it. A new name needs a file in `src/responses`, and its entry in
 * `RESPONSES` there; the compiler asks for both.
 */
export const RESPONSE_NAMES = ['kill'] as const;

export type ResponseName = (typeof RESPONSE_NAMES)[number];
