import { check } from '../compile/check.ts';
import type { CheckContext } from '../compile/check.ts';
import type { LanguageWarning } from '../compile/warnings.ts';
import { LanguageError } from '../language/errors.ts';
import { parse } from '../language/parser.ts';
import { GivenFields } from './given-fields.ts';
import type { Given } from './given-fields.ts';
import { Reasons } from './reasons.ts';
import type { Outcome } from './reasons.ts';

/** What a condition is of given fields, why, and what is suspicious about it. */
export interface Evaluation extends Outcome {
  readonly warnings: readonly LanguageWarning[];
}

/**
 * Evaluates a condition over given fields with the code that agents run. Throws LanguageError with a span of
 * `text` (LOAD_ERR_VALIDATE for a macro, of which there are none here), GivenFieldError for the fields.
 */
export function evaluateGiven(text: string, fields: Readonly<Record<string, Given>>): Evaluation {
  const given = new GivenFields();
  const warnings: LanguageWarning[] = [];
  const context: CheckContext = {
    macro: (name, span) => {
      throw new LanguageError(
        'LOAD_ERR_VALIDATE',
        `Undefined macro '${name}' used in filter.`,
        span,
      );
    },
    warn: (warning) => warnings.push(warning),
    source: given.source,
  };
  const condition = check(parse(text), context);
  given.give(fields);
  return { ...new Reasons(condition).outcome(), warnings };
}
