import { ItemError } from './diagnostics.ts';
import { invalid, Keyed, misshapen, parseUnsigned } from './items.ts';
import type { Item } from './items.ts';
import type { Place } from './source.ts';

/** Three numbers, `major.minor.patch`; what follows them (`-rc1`) says nothing. */
export interface Version {
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
}

/** The version of Falco's engine whose rule language this is. */
export const ENGINE_VERSION: Version = { major: 0, minor: 63, patch: 0 };

/** Falco's plugins whose fields and events are our own: what they can do is that of this version. */
const BUILT_IN_PLUGINS: ReadonlyMap<string, Version> = new Map([
  ['container', { major: 0, minor: 7, patch: 0 }],
]);

/** A plugin that the rules need, or one that does in its place. */
interface PluginRequirement {
  readonly name: string;
  readonly version: Version;
}

/** One of these must be there. */
export interface PluginAlternatives {
  readonly place: Place;
  readonly alternatives: readonly PluginRequirement[];
}

export function formatVersion({ major, minor, patch }: Version): string {
  return `${major}.${minor}.${patch}`;
}

export function isOlder(version: Version, other: Version): boolean {
  return (
    (version.major - other.major || version.minor - other.minor || version.patch - other.patch) < 0
  );
}

/** Does what has `version` do for who asks for `wanted`? The same major version and not older. */
function isCompatible(version: Version, wanted: Version): boolean {
  return version.major === wanted.major && !isOlder(version, wanted);
}

/** `0.62.0`, with anything after it; undefined for what is no such version. */
export function parseVersion(text: string): Version | undefined {
  const match = /^\s*(\d{1,9})\.(\d{1,9})\.(\d{1,9})/.exec(text);
  if (match === null) return undefined;
  return { major: Number(match[1]), minor: Number(match[2]), patch: Number(match[3]) };
}

/** R8: the engine version that an item asks for, `N` or `0.N.P`. Throws ItemError when it is not ours. */
export function readEngineVersion(item: Item): Version {
  const scalar = item.required('required_engine_version', 'the item');
  const minor = parseUnsigned(scalar.text);
  const version = minor === undefined ? parseVersion(scalar.text) : { major: 0, minor, patch: 0 };
  if (version === undefined) {
    throw misshapen(`'${scalar.text}' is not an engine version such as 13 or 0.57.0`, scalar.place);
  }
  if (!isCompatible(ENGINE_VERSION, version)) {
    throw invalid(
      `the rules need engine version ${formatVersion(version)}, this one is ${formatVersion(ENGINE_VERSION)}`,
      scalar.place,
    );
  }
  return version;
}

/** R8: the plugins that an item asks for. Whether they are there is for missingPlugin(). Throws ItemError. */
export function readPlugins(item: Item): PluginAlternatives[] {
  const node = item.node('required_plugin_versions');
  if (node?.kind !== 'sequence') {
    throw misshapen(
      "'required_plugin_versions' must be a list",
      node?.place ?? item.keyPlace('required_plugin_versions'),
    );
  }
  return node.items.map((entry) => {
    if (entry.kind !== 'map') {
      throw misshapen("a required plugin must have 'name' and 'version'", entry.place);
    }
    const requirements = [new Keyed(entry)];
    const others = requirements[0]?.node('alternatives');
    if (others !== undefined) {
      if (others.kind !== 'sequence')
        throw misshapen("'alternatives' must be a list", others.place);
      for (const other of others.items) {
        if (other.kind !== 'map')
          throw misshapen("an alternative must have 'name' and 'version'", other.place);
        requirements.push(new Keyed(other));
      }
    }
    const texts = requirements.map((keyed) => ({
      name: keyed.required('name', 'a required plugin'),
      version: keyed.required('version', 'a required plugin'),
    }));
    const alternatives: PluginRequirement[] = [];
    for (const { name, version: text } of texts) {
      const version = parseVersion(text.text);
      if (version === undefined) {
        throw invalid(`'${text.text}' is not a version such as 0.4.0`, text.place);
      }
      if (alternatives.some((other) => other.name === name.text)) {
        throw invalid(`plugin '${name.text}' is named twice among the alternatives`, name.place);
      }
      alternatives.push({ name: name.text, version });
    }
    return { place: texts[0]?.name.place ?? entry.place, alternatives };
  });
}

/** What is wrong when none of the alternatives is built in; undefined when one is. */
export function missingPlugin({ place, alternatives }: PluginAlternatives): ItemError | undefined {
  for (const { name, version } of alternatives) {
    const own = BUILT_IN_PLUGINS.get(name);
    if (own === undefined) continue;
    if (isCompatible(own, version)) return undefined;
    return invalid(
      `the rules need plugin '${name}' in version ${formatVersion(version)} or compatible; what is built in does as version ${formatVersion(own)}`,
      place,
    );
  }
  const wanted = alternatives.map(({ name, version }) => `${name} ${formatVersion(version)}`);
  return invalid(
    `the rules need plugin ${wanted.join(' or ')}, and there are no plugins here but what is built in: ${[...BUILT_IN_PLUGINS.keys()].join(', ')}`,
    place,
  );
}
