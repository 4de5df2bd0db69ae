import type { Diagnostics } from '../rules/loader/diagnostics.ts';
import { misshapen } from '../rules/loader/items.ts';
import type { Place } from '../rules/loader/source.ts';
import type { YamlNode } from '../rules/loader/yaml-node.ts';
import type { ResponseName } from '../shared/response-names.ts';
import { nearestWord } from '../shared/nearest.ts';
import { switchingTag } from './variable-effects.ts';

/** What is done where an app enforces one of its variables. */
export interface Enforcement {
  /** Of the rules about what the variable leaves out: they are switched on for the app. */
  readonly tag: string;
  /** To their detections, where the operator allows it. */
  readonly response: ResponseName;
  /** What is done where the operator allows only this. */
  readonly instead?: ResponseName;
  /** Whether it makes sense without a value: then nothing at all may happen. */
  readonly mayBeEmpty: boolean;
  /** Another variable that must have a value, and what it says. */
  readonly needs?: { readonly variable: string; readonly says: string };
}

/** The variables that an app can enforce: nothing but what they list happens. */
export const ENFORCEMENTS: Readonly<Record<string, Enforcement>> = {
  // An app runs at least one program.
  expected_executables: {
    tag: 'enforce_expected_executables',
    response: 'deny',
    mayBeEmpty: false,
  },
  outbound_hosts: {
    tag: switchingTag('outbound_hosts'),
    response: 'deny',
    instead: 'kill',
    mayBeEmpty: true,
  },
  secret_paths: {
    tag: 'enforce_secret_paths',
    response: 'deny',
    instead: 'kill',
    mayBeEmpty: false,
    needs: { variable: 'secret_readers', says: 'which programs open them' },
  },
  code_paths: {
    tag: 'enforce_code_paths',
    response: 'deny',
    instead: 'kill',
    mayBeEmpty: false,
  },
};

/** One entry of `enforce`. */
export interface Enforced extends Enforcement {
  readonly variable: string;
  readonly place: Place;
}

/** Reads `enforce`, a list of names of variables. An invalid entry is reported as an error. Throws ItemError. */
export function readEnforced(node: YamlNode | undefined, diagnostics: Diagnostics): Enforced[] {
  if (node === undefined || (node.kind === 'scalar' && node.isNull)) return [];
  const names = Object.keys(ENFORCEMENTS);
  if (node.kind !== 'sequence')
    throw misshapen(`'enforce' must be a list; it can have ${names.join(', ')}`, node.place);
  const found = new Map<string, Enforced>();
  for (const item of node.items) {
    const variable = item.kind === 'scalar' && !item.isNull ? item.text : '';
    const enforcement = Object.hasOwn(ENFORCEMENTS, variable) ? ENFORCEMENTS[variable] : undefined;
    if (enforcement === undefined) {
      const near = nearestWord(variable, names);
      const hint = near === undefined ? `it can be ${names.join(', ')}` : `did you mean '${near}'?`;
      const message = `'${variable}' is nothing that can be enforced: ${hint}`;
      diagnostics.error('LOAD_ERR_YAML_VALIDATE', message, item.place);
    } else found.set(variable, { variable, place: item.place, ...enforcement });
  }
  return [...found.values()];
}
