import { compileGlob } from './glob.ts';

/**
 * pmatch: is the value below one of the paths? By component, leading and double slashes do not count, a
 * component may be a glob, and the root (or '') holds every path (E2, S10).
 */
export function compilePathMatch(paths: readonly string[]): (value: string) => boolean {
  const prefixes = paths.map((path) =>
    components(path).map((component) =>
      /[?*[]/.test(component) ? compileGlob(component).test : component,
    ),
  );
  return (value) => {
    const parts = components(value);
    return prefixes.some((prefix) => {
      if (prefix.length > parts.length) return false;
      return prefix.every((expected, index) => {
        const part = parts[index] ?? '';
        return typeof expected === 'string' ? expected === part : expected(part);
      });
    });
  };
}

function components(path: string): string[] {
  return path.split('/').filter((part) => part !== '');
}
