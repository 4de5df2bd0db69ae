import { listUses, merged } from '../rules/loader/list-uses.ts';
import type { ListUse, ListUses } from '../rules/loader/list-uses.ts';
import type { Definitions } from '../rules/loader/definitions.ts';
import type { Diagnostics } from '../rules/loader/diagnostics.ts';
import type { ListAdditions } from '../rules/loader/overlay.ts';
import { MappedText } from '../rules/loader/source.ts';
import type { YamlScalar } from '../rules/loader/yaml-node.ts';
import { parseIp, parseNet } from '../rules/fields/ip.ts';
import { nearestWord } from '../shared/nearest.ts';
import type { PolicyVariable } from './policy-variables.ts';

/** Apps can set lists with this prefix in an operator's rule files: their variable adds to the list. */
const PREFIX = 'app_';
/** Addresses and networks among a variable's values go to the list with this suffix, if it exists. */
const NETWORKS = '_networks';
/** The list with this suffix, if it exists, gets the values as well: it has none of those that are for all apps. */
const OWN = '_own';
/** The list with this suffix, if it exists, gets the directories that the values are in: who moves one away moves a value, too. */
const ABOVE = '_above';
const BESIDE = [NETWORKS, OWN, ABOVE];
/** Text of this form cannot be a domain name. */
const ADDRESS_LIKE = /^(?:[\d.]+|.*[:/].*)$/;

/** The variables of an operator's rules, and the rules that use each. */
export class KnownVariables {
  /** In definition order, without the prefix. */
  readonly names: readonly string[];
  /** By a list's name. */
  readonly uses: ListUses;
  readonly #lists: ReadonlySet<string>;

  constructor(definitions: Definitions) {
    const lists = [...definitions.lists.keys()].filter((name) => name.startsWith(PREFIX));
    this.#lists = new Set(lists);
    this.names = lists
      .filter((name) => !BESIDE.some((suffix) => this.#isBeside(name, suffix)))
      .map((name) => name.slice(PREFIX.length));
    this.uses = listUses(definitions, this.#lists);
  }

  /** The additions to each list. Reports invalid values. */
  additions(variables: readonly PolicyVariable[], diagnostics: Diagnostics): ListAdditions {
    const lists = new Map<string, YamlScalar[]>();
    const add = (name: string, value: YamlScalar, text: string): void => {
      for (const list of [name, name + OWN])
        if (this.#lists.has(list))
          lists.set(list, [...(lists.get(list) ?? []), constant(text, value)]);
      if (!this.#lists.has(name + ABOVE)) return;
      const above = lists.get(name + ABOVE) ?? [];
      const added = directoriesAbove(text).map((directory) => constant(directory, value));
      const isNew = ({ text: one }: YamlScalar): boolean => !above.some((old) => old.text === one);
      lists.set(name + ABOVE, [...above, ...added.filter(isNew)]);
    };
    for (const { name, place, values } of variables) {
      if (!this.names.includes(name)) {
        diagnostics.error('LOAD_ERR_VALIDATE', this.#unknown(name), place);
        continue;
      }
      const list = PREFIX + name;
      const networks = this.#lists.has(list + NETWORKS) ? list + NETWORKS : undefined;
      for (const value of values) {
        if (networks === undefined || !ADDRESS_LIKE.test(value.text)) {
          add(list, value, value.text);
          continue;
        }
        const network = networkOf(value.text);
        if (network === undefined) {
          const message = `'${value.text}' is no address and no network that there can be`;
          diagnostics.error('LOAD_ERR_VALIDATE', message, value.place);
        } else add(networks, value, network);
      }
    }
    return lists;
  }

  /** The variable's own lists that exist. */
  listsOf(name: string): readonly string[] {
    return ['', ...BESIDE]
      .map((suffix) => PREFIX + name + suffix)
      .filter((list) => this.#lists.has(list));
  }

  /** Whether this list, with the suffix, belongs to another one. */
  #isBeside(list: string, suffix: string): boolean {
    return list.endsWith(suffix) && this.#lists.has(list.slice(0, -suffix.length));
  }

  #unknown(name: string): string {
    const near = nearestWord(name, this.names);
    if (near !== undefined) return `there is no variable '${name}': did you mean '${near}'?`;
    const known =
      this.names.length === 0 ? 'the rules have none' : `it can be ${this.names.join(', ')}`;
    return `there is no variable '${name}': ${known}`;
  }
}

const KNOWN = new WeakMap<Definitions, KnownVariables>();

/** The variables of these definitions, cached. */
export function knownVariables(definitions: Definitions): KnownVariables {
  const known = KNOWN.get(definitions) ?? new KnownVariables(definitions);
  KNOWN.set(definitions, known);
  return known;
}

/** The tag of rules that are off by default and on for apps that set the variable. */
export function switchingTag(variable: string): string {
  return PREFIX + variable;
}

/** Without the root, which nobody can move, and without what depends on a wildcard. */
function directoriesAbove(path: string): readonly string[] {
  const names = path.split('/').filter((name) => name !== '');
  const wild = names.findIndex((name) => /[?*[]/.test(name));
  const known = Math.min(names.length - 1, wild < 0 ? Infinity : wild);
  return Array.from(
    { length: Math.max(0, known) },
    (_, at) => `/${names.slice(0, at + 1).join('/')}`,
  );
}

/** A value as a constant of a condition; it cannot be anything else, since it has no quote and no backslash. */
function constant(text: string, { place }: YamlScalar): YamlScalar {
  const quoted = `"${text}"`;
  return {
    kind: 'scalar',
    text: quoted,
    isNull: false,
    place,
    mapped: () => MappedText.at(quoted, place),
  };
}

function networkOf(text: string): string | undefined {
  if (text.includes('/')) return parseNet(text) === undefined ? undefined : text;
  if (parseIp(text) === undefined) return undefined;
  return `${text}/${text.includes(':') ? 128 : 32}`;
}

/** The effects of an app's variables on the rules. */
export interface VariableEffects {
  readonly lists: ListAdditions;
  /** The additions left for operator rules that some of them must not loosen. */
  readonly listsOf: ReadonlyMap<string, ListAdditions>;
  /** Operator rules that differ for this app, and how they depend on the additions. */
  readonly rebuilt: ReadonlyMap<string, ListUse>;
}

export const NO_EFFECTS: VariableEffects = {
  lists: new Map(),
  listsOf: new Map(),
  rebuilt: new Map(),
};

/** Why an enabled operator rule may not be loosened; undefined if it may. */
export type LooseningBan = (rule: string) => 'pinned' | 'unverified' | undefined;

/**
 * The changes of `variables` to the operator's enabled rules, where `ban` permits. Reports what has no effect.
 * @param on names of these rules
 */
export function variableEffects(
  known: KnownVariables,
  variables: readonly PolicyVariable[],
  on: ReadonlySet<string>,
  ban: LooseningBan,
  diagnostics: Diagnostics,
  warnOfTrust: (what: string, variable: PolicyVariable) => void,
): VariableEffects {
  const lists = known.additions(variables, diagnostics);
  const banned = new Map<string, Set<string>>();
  const rebuilt = new Map<string, ListUse>();
  for (const variable of variables) {
    const held = { pinned: new Set<string>(), unverified: new Set<string>() };
    for (const list of known.listsOf(variable.name)) {
      if (!lists.has(list)) continue;
      for (const [rule, use] of known.uses.get(list) ?? []) {
        if (!on.has(rule)) continue;
        const reason = use.loosens ? ban(rule) : undefined;
        if (reason === undefined) {
          const before = rebuilt.get(rule);
          rebuilt.set(rule, before === undefined ? use : merged(before, use));
        } else {
          held[reason].add(rule);
          banned.set(rule, (banned.get(rule) ?? new Set()).add(list));
        }
      }
    }
    if (held.pinned.size > 0) {
      const which = [...held.pinned].map((rule) => `"${rule}"`).join(', ');
      const message = `the operator has pinned ${which}: '${variable.name}' does not reduce what is reported`;
      diagnostics.warn('LOAD_WARNING_EXTENSION', message, variable.place);
    }
    if (held.unverified.size > 0) warnOfTrust(`sets '${variable.name}'`, variable);
  }
  const listsOf = new Map<string, ListAdditions>();
  for (const [rule, without] of banned) {
    listsOf.set(rule, new Map([...lists].filter(([list]) => !without.has(list))));
  }
  return { lists, listsOf, rebuilt };
}
