import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { PRIORITIES } from '../detection.ts';
import type { Priority } from '../detection.ts';
import { UserError } from '../../shared/user-error.ts';
import type { RuleSet } from '../rule-set.ts';
import { RuleCompiler } from './compile-rules.ts';
import { Definitions } from './definitions.ts';
import { Diagnostics } from './diagnostics.ts';
import type { Diagnostic } from './diagnostics.ts';
import { readItems } from './items.ts';
import type { RuleSource } from './source.ts';
import { readYaml, YamlError } from './yaml.ts';

/** Largest rule file that is read; upstream's three are below 100 KB. */
export const MAX_RULE_FILE_BYTES = 4 * 1024 * 1024;

export interface LoadOptions {
  /** Less severe rules are left out (R5). Default: Debug, so none is. */
  readonly minimumPriority?: Priority;
}

/** What loading found. A set with any error must not be used: what it watches is not what was written. */
export interface LoadResult {
  /** Undefined when there are errors. */
  readonly ruleSet: RuleSet | undefined;
  /** How many rules loaded and how many there are, with those left out. */
  readonly loadedRules: number;
  readonly definedRules: number;
  /** In the order that Falco would come to them: it reports the first one. */
  readonly errors: readonly Diagnostic[];
  readonly warnings: readonly Diagnostic[];
}

/** Loads rules from texts, later ones on top of earlier ones. Never throws for what is in them. */
export function loadRules(sources: readonly RuleSource[], options: LoadOptions = {}): LoadResult {
  const diagnostics = new Diagnostics();
  const definitions = new Definitions(diagnostics);
  for (const source of sources) {
    try {
      for (const item of readItems(readYaml(source), diagnostics)) definitions.add(item);
    } catch (error) {
      if (!(error instanceof YamlError)) throw error;
      diagnostics.error('LOAD_ERR_YAML_PARSE', error.message, error.place);
    }
  }
  const least = options.minimumPriority ?? PRIORITIES.at(-1) ?? 'Debug';
  const rules = new RuleCompiler(definitions, diagnostics).compile(least);
  return {
    ruleSet: diagnostics.errors.length === 0 ? { rules } : undefined,
    loadedRules: rules.length,
    definedRules: definitions.rules.size,
    errors: diagnostics.errors,
    warnings: diagnostics.warnings,
  };
}

/**
 * Reads a rule file. Throws UserError, a sentence with what to do, when it cannot be read, is no regular file
 * or is larger than MAX_RULE_FILE_BYTES.
 */
export function readRuleFile(path: string): RuleSource {
  let fd: number | undefined;
  try {
    // Not to wait forever should it be a pipe.
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const status = fstatSync(fd);
    if (!status.isFile()) throw unreadable(path, 'it is not a regular file');
    const bytes = Buffer.alloc(MAX_RULE_FILE_BYTES + 1);
    let length = 0;
    for (;;) {
      const count = readSync(fd, bytes, length, bytes.length - length, null);
      length += count;
      if (length > MAX_RULE_FILE_BYTES) {
        throw unreadable(path, `it is larger than ${MAX_RULE_FILE_BYTES / 1024 / 1024} MiB`);
      }
      if (count === 0) break;
    }
    return { name: path, text: bytes.toString('utf8', 0, length).replace(/^\ufeff/, '') };
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw unreadable(path, reasonOf(error), error);
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

function unreadable(path: string, reason: string, cause?: unknown): UserError {
  return new UserError(`Cannot read the rule file: ${reason}.`, {
    position: { file: path },
    exitCode: 2,
    cause,
  });
}

function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  switch (code) {
    case 'ENOENT':
      return 'there is no such file; check the path';
    case 'EACCES':
      return 'permission denied; run as a user who may read it';
    case 'EISDIR':
      return 'it is a directory; name the files in it';
    default:
      return error instanceof Error ? error.message : String(error);
  }
}
