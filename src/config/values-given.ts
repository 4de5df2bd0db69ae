import type { MinimumPriority } from './config.ts';

/** A priority as rules have it. */
export const capitalized = (word: string): MinimumPriority =>
  (word.charAt(0).toUpperCase() + word.slice(1)) as MinimumPriority;

/** Removes the keys with undefined values. */
export function given<T extends object>(
  value: T,
): { [Key in keyof T]?: Exclude<T[Key], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, inner]) => inner !== undefined)) as {
    [Key in keyof T]?: Exclude<T[Key], undefined>;
  };
}
