import { ItemError } from './diagnostics.ts';
import type { Item } from './items.ts';

/** The version of Falco's engine whose rule language this is. */
const ENGINE_MINOR = 63;

/** Fields that are plugins' in Falco and our own here. */
const BUILT_IN_PLUGINS: ReadonlySet<string> = new Set(['container']);

/** R8: `N` or `0.N.P` must not be newer than the language we know. Throws ItemError. */
export function checkEngineVersion(item: Item): void {
  const scalar = item.scalar('required_engine_version');
  if (scalar === undefined) return;
  const match = /^(?:(\d{1,6})|0\.(\d{1,6})\.\d{1,6})$/.exec(scalar.text);
  if (match === null) {
    throw item.invalid(
      `'${scalar.text}' is not an engine version such as 13 or 0.57.0`,
      scalar.place,
    );
  }
  if (Number(match[1] ?? match[2]) > ENGINE_MINOR) {
    throw item.invalid(
      `the rules need engine version ${scalar.text}, this one is 0.${ENGINE_MINOR}.0`,
      scalar.place,
    );
  }
}

/** A plugin that is needed must be built in, it or one of its alternatives. Throws ItemError. */
export function checkPluginVersions(item: Item): void {
  const node = item.node('required_plugin_versions');
  if (node === undefined) return;
  if (node.kind !== 'sequence') {
    throw item.invalid("'required_plugin_versions' must be a list", node.place);
  }
  for (const requirement of node.items) {
    if (requirement.kind !== 'map') {
      throw item.invalid("a required plugin needs 'name' and 'version'", requirement.place);
    }
    const value = (key: string) =>
      requirement.entries.find((entry) => entry.key.text === key)?.value;
    const name = value('name');
    if (name?.kind !== 'scalar' || value('version')?.kind !== 'scalar') {
      throw item.invalid("a required plugin needs 'name' and 'version'", requirement.place);
    }
    const alternatives = value('alternatives');
    const names = [name.text];
    if (alternatives?.kind === 'sequence') {
      for (const alternative of alternatives.items) {
        if (alternative.kind !== 'map') continue;
        const other = alternative.entries.find((entry) => entry.key.text === 'name')?.value;
        if (other?.kind === 'scalar') names.push(other.text);
      }
    }
    if (!names.some((plugin) => BUILT_IN_PLUGINS.has(plugin))) {
      throw new ItemError(
        'LOAD_ERR_NOT_YET',
        `plugin '${name.text}' is required, and plugins are not supported yet`,
        name.place,
      );
    }
  }
}
