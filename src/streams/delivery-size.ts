import type { OutputValue } from '../rules/detection.ts';
import type { Delivery } from './stream.ts';

/** Without its texts: measured with those of a short detection (Node 20), and rounded. */
const BASE_BYTES = 1280;

/**
 * About what a delivery holds in memory while it waits, in bytes. What it shares with others (its container, the rule's name and
 * tags) does not count; a text counts as two bytes a character, which is what one has that is not all Latin-1.
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
