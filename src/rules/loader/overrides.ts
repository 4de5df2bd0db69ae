import { ItemError } from './diagnostics.ts';
import type { Diagnostics } from './diagnostics.ts';
import { misshapen } from './items.ts';
import type { Item } from './items.ts';

/** Which keys of an item add to those of an earlier one, and which take their place (R7). */
export interface Overrides {
  readonly append: ReadonlySet<string>;
  readonly replace: ReadonlySet<string>;
}

/** Which keys of a kind of item can be named under `override`. */
export interface Overridable {
  readonly append: readonly string[];
  readonly replace: readonly string[];
}

/**
 * Reads `append` and `override`: 'append' for the deprecated `append: true`, undefined when the item is a
 * definition of its own. Throws ItemError for what cannot be overridden so.
 */
export function readOverrides(
  item: Item,
  overridable: Overridable,
  diagnostics: Diagnostics,
): Overrides | 'append' | undefined {
  const appends = item.boolean('append', false);
  if (appends) {
    diagnostics.warn(
      'LOAD_DEPRECATED_ITEM',
      "'append' is deprecated: name what is appended to under 'override', such as {condition: append}",
      item.keyPlace('append'),
      item.owner,
    );
  }
  const overrides = readOverride(item, overridable);
  if (overrides === undefined) return appends ? 'append' : undefined;
  if (appends) {
    throw misshapen("'append: true' and 'override' cannot stand together", item.keyPlace('append'));
  }
  return overrides;
}

function readOverride(item: Item, overridable: Overridable): Overrides | undefined {
  const node = item.node('override');
  // What names no key is taken for nothing, as in Falco.
  if (node === undefined || node.kind === 'scalar') return undefined;
  if (node.kind === 'sequence') {
    if (node.items.length === 0) return undefined;
    throw new ItemError(
      'LOAD_ERR_VALIDATE',
      "'override' must be a map such as {condition: append}",
      node.place,
    );
  }
  const append = new Set<string>();
  const replace = new Set<string>();
  for (const { key, value } of node.entries) {
    if (value.kind !== 'scalar') {
      throw new ItemError(
        'LOAD_ERR_VALIDATE',
        `'${key.text}' must be 'append' or 'replace'`,
        value.place,
      );
    }
    const appendable = overridable.append.includes(key.text);
    const replaceable = overridable.replace.includes(key.text);
    if (!appendable && !replaceable) {
      throw misshapen(`'override' cannot name '${key.text}' in a ${item.kind}`, key.place);
    }
    if (value.text === 'append') {
      if (!appendable) {
        throw misshapen(`'${key.text}' can be replaced but not appended to`, key.place);
      }
      append.add(key.text);
    } else if (value.text === 'replace') replace.add(key.text);
    else {
      const words = appendable ? "'append' or 'replace'" : "'replace'";
      throw misshapen(`'${key.text}' must be ${words}, not '${value.text}'`, value.place);
    }
  }
  return append.size + replace.size === 0 ? undefined : { append, replace };
}

/** Throws ItemError for a key that `override` names and the item does not have. */
export function checkNamed(item: Item, names: ReadonlySet<string>): void {
  for (const key of names) {
    if (item.has(key)) continue;
    throw misshapen(
      `'override' names '${key}', but the item has no such key`,
      item.keyPlace('override'),
    );
  }
}

/** Throws ItemError for a key that could be overridden, stands in the item and is not named. */
export function checkUnnamed(item: Item, overridable: Overridable, overrides: Overrides): void {
  const keys = [...new Set([...overridable.append, ...overridable.replace])].sort();
  for (const key of keys) {
    if (!item.has(key) || overrides.append.has(key) || overrides.replace.has(key)) continue;
    throw misshapen(
      `Unexpected key '${key}': no corresponding entry under 'override' is defined.`,
      item.keyPlace(key),
    );
  }
}
