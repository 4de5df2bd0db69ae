import type { OutputValue } from '../rules/detection.ts';
import type { Delivery } from './stream.ts';

/** Without its texts: measured with those of a short detection (Node 20), and rounded. */
const BASE_BYTES = 1280;

/**
 * Approximate memory of a queued delivery, in bytes. Shared data (its container, the rule's name and tags) does not count. A
 * text counts as two bytes a character, which is what a text takes that is not all Latin-1.
 */
export function deliverySize({ detection }: Delivery): number {
  let characters = detection.output.length;
  for (const value of Object.values(detection.outputFields)) characters += charactersOf(value);
  return BASE_BYTES + 2 * characters;
}

function charactersOf(value: OutputValue): number {
  if (typeof value === 'string') return value.length;
  if (value === null || typeof value !== 'object') return 0;
  let characters = 0;
  for (const element of value) characters += element.length;
  return characters;
}
