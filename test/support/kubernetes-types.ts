import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';

/** Which of the published types an object is of, and whether it is a whole one or what a patch changes of it. */
export interface KubernetesObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly patch?: boolean;
  readonly value: object;
}

/**
 * Checks objects against the types that are made from Kubernetes' published schemas (npm: kubernetes-types), by the
 * compiler: each field must be known and have a value of its type, each required one must be there. Gives its complaints
 * about each object, in their order.
 */
export function checkKubernetesObjects(objects: readonly KubernetesObject[]): string[][] {
  const root = join(import.meta.dirname, '../..');
  // Where its packages are found, and where no linter looks that runs beside this.
  const cache = join(root, 'node_modules/.cache');
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, 'kubernetes-'));
  try {
    const path = join(folder, 'objects.ts');
    const lines = objects.map(({ apiVersion, kind, patch = false, value }, at) => {
      // The group networking.k8s.io is the folder networking.
      const module = apiVersion.includes('/')
        ? apiVersion.replace('.k8s.io/', '/')
        : `core/${apiVersion}`;
      const type = `import('kubernetes-types/${module}').${kind}`;
      return `export const o${at}: ${patch ? `Part<${type}>` : type} = ${JSON.stringify(value)};`;
    });
    const part =
      'type Part<T> = T extends (infer I)[] ? Part<I>[] : T extends object ? { [K in keyof T]?: Part<T[K]> } : T;';
    writeFileSync(path, [part, ...lines].join('\n'));
    const program = ts.createProgram([path], {
      strict: true,
      noEmit: true,
      types: [],
      skipLibCheck: true,
      module: ts.ModuleKind.ESNext,
      moduleResolution: ts.ModuleResolutionKind.Bundler,
    });
    const complaints = objects.map((): string[] => []);
    for (const { file, start, messageText } of ts.getPreEmitDiagnostics(program)) {
      const text = ts.flattenDiagnosticMessageText(messageText, '\n');
      // The first line has what is no object.
      const line = file?.getLineAndCharacterOfPosition(start ?? 0).line ?? 0;
      const about = complaints[line - 1];
      if (about === undefined) throw new Error(`the types cannot be read: ${text}`);
      about.push(text);
    }
    return complaints;
  } finally {
    rmSync(folder, { recursive: true });
  }
}
