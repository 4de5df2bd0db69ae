// What files of the BOSH release say.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { JOB } from './bosh-vm.ts';

interface Spec {
  readonly name: string;
  readonly templates: Readonly<Record<string, string>>;
  readonly packages: readonly string[];
  readonly properties: Readonly<Record<string, { description: string; default?: unknown }>>;
}

/** A file of YAML, parsed. */
export const yaml = (path: string): unknown => parse(readFileSync(path, 'utf8')) as unknown;
/** The job's own. */
export const spec = yaml(join(JOB, 'spec')) as Spec;
