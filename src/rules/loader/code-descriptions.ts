import type { ErrorCode, WarningCode } from '../language/errors.ts';

const DESCRIPTIONS: Readonly<Partial<Record<ErrorCode | WarningCode, string>>> = {
  LOAD_ERR_FILE_READ: 'The file cannot be read',
  LOAD_ERR_YAML_PARSE: 'The file is not YAML',
  LOAD_ERR_YAML_VALIDATE: 'Something in the file has the wrong shape',
  LOAD_ERR_COMPILE_CONDITION: 'A condition does not compile',
  LOAD_ERR_COMPILE_OUTPUT: 'An output does not compile',
  LOAD_ERR_VALIDATE: 'A rule, macro, list or exception makes no sense',
  LOAD_ERR_EXTENSION: 'An extension has an error',
  LOAD_UNKNOWN_SOURCE: 'No such source of events',
  LOAD_UNSAFE_NA_CHECK: 'A comparison with <NA>',
  LOAD_NO_EVTTYPE: 'A condition for all types of events',
  LOAD_UNKNOWN_FILTER: 'No such field or type of event; the rule is left out',
  LOAD_UNUSED_MACRO: 'A macro that nothing refers to',
  LOAD_UNUSED_LIST: 'A list that nothing refers to',
  LOAD_UNKNOWN_ITEM: 'No such kind of item; it is left out',
  LOAD_DEPRECATED_ITEM: 'Something deprecated',
  LOAD_WARNING_EXTENSION: 'An extension has a warning',
  LOAD_APPEND_NO_VALUES: 'Nothing is appended to an exception',
  LOAD_EXCEPTION_NAME_NOT_UNIQUE: 'Exceptions of the same name',
  LOAD_INVALID_MACRO_NAME: 'A name that no condition can refer to',
  LOAD_INVALID_LIST_NAME: 'A name that conditions may not be able to refer to',
  LOAD_COMPILE_CONDITION: 'A condition that may not mean what it says',
  LOAD_UNKNOWN_KEY: 'No such key; it is left out',
  LOAD_NEVER_MATCHES: 'A rule that no event can match',
  LOAD_ABSENT_FIELD: 'A field that has no value in any event',
  LOAD_NO_CAPTURE: 'A capture, which there are none of',
  LOAD_EMPTY_FILE: 'A file without any item',
};

/** What a code means, in a few words. */
export function describeCode(code: ErrorCode | WarningCode): string {
  return DESCRIPTIONS[code] ?? code;
}
