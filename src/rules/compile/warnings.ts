import type { Operator, Span } from '../language/ast.ts';
import { TRANSFORMERS } from '../language/ast.ts';
import type { WarningCode } from '../language/errors.ts';
import { findField } from '../fields/registry.ts';

/** Something worth a word that does not keep the rule from loading. */
export interface LanguageWarning {
  readonly code: WarningCode;
  readonly message: string;
  readonly span: Span;
}

/** What is suspicious about a constant (C6): it may be meant as something else, or be had for less. */
export function suspicions(operator: Operator, value: string, span: Span): LanguageWarning[] {
  const warning = (message: string): LanguageWarning => ({
    code: 'LOAD_COMPILE_CONDITION',
    message,
    span,
  });
  const found: LanguageWarning[] = [];
  if (operator === 'regex' && isSimple(value)) {
    found.push(
      warning(
        `the regular expression '${value}' can be had for less with =, contains, startswith or endswith`,
      ),
    );
  }
  const bare = value.replace(/[ \t\n\v\f\r]+/g, '');
  if (isField(bare)) {
    found.push(
      warning(
        `'${value}' is the name of a field but is compared as a text: write val(${bare}) to compare with the field`,
      ),
    );
  }
  const call = /^([a-z0-9]+)\(.*\)$/s.exec(bare)?.[1];
  if (
    call !== undefined &&
    (call === 'val' || (TRANSFORMERS as readonly string[]).includes(call))
  ) {
    found.push(
      warning(
        `'${value}' looks like a transformer but is compared as a text: without quotes it would be one`,
      ),
    );
  }
  return found;
}

function isField(text: string): boolean {
  const match = /^([a-zA-Z][a-zA-Z0-9_]*(?:\.[a-zA-Z0-9_]+)+)(\[[^[\]]+\])?$/.exec(text);
  const found = match?.[1] === undefined ? undefined : findField(match[1]);
  if (found === undefined) return false;
  const hasArgument = match?.[2] !== undefined || found.dotArgument !== undefined;
  if (found.field.argument === 'none') return !hasArgument;
  return found.field.argument === 'optional' || hasArgument;
}

/** Is the whole expression a plain text, at either end with an anchor or with `.*`, `.+` or `.?`? */
function isSimple(pattern: string): boolean {
  const bare = pattern.replace(/^(?:\^|\.[*+?])/, '').replace(/(?:\$|\.[*+?])$/, '');
  return !/[.+*?^$()[\]{}|\\]/.test(bare);
}
