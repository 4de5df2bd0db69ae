import type { Process } from '../../context/process.ts';
import { packBytes } from '../../events/words.ts';
import { ancestor, ancestors, containerAncestor, containerAncestors } from './ancestors.ts';
import { fieldWithReader, parseIndex } from './field.ts';
import type { ArgumentProblem, FieldDefinition, Reader } from './field.ts';

/** What follows `NAME=`; '' when there is no such variable (S1), undefined when the environment is not known. */
function variableReader(name: string): (process: Process) => string | undefined {
  const prefix = `${name}=`;
  const packed = packBytes(prefix);
  return ({ image }) => {
    if (image.variable !== undefined) return image.variable(packed);
    const { env } = image;
    return env && (env.find((word) => word.startsWith(prefix))?.slice(prefix.length) ?? '');
  };
}

function wholeOf(process: Process | undefined): string | undefined {
  const image = process?.image;
  return image?.envText === undefined ? image?.env?.join(' ') : image.envText();
}

function ownReader(name: string | undefined): Reader {
  const read = name === undefined ? wholeOf : variableReader(name);
  return { shape: 'single', read: ({ process }) => read(process) };
}

/** `[3]` is the environment of one ancestor, `[NAME]` a variable of the nearest that has it. */
function readerOf(
  argument: string | undefined,
  above: typeof ancestors,
  at: typeof ancestor,
): Reader | ArgumentProblem {
  if (argument === undefined) {
    return {
      shape: 'single',
      read({ process }) {
        const known = [...above(process)].map(wholeOf).filter((text) => text !== undefined);
        return known.length === 0 ? undefined : known.join(' ');
      },
    };
  }
  if (/^\d/.test(argument)) {
    const level = parseIndex(argument);
    if (typeof level === 'object') return level;
    return { shape: 'single', read: ({ process }) => wholeOf(at(process, level)) };
  }
  const variable = variableReader(argument);
  return {
    shape: 'single',
    read({ process }) {
      let known: string | undefined;
      for (const one of above(process)) {
        const value = variable(one);
        if (value !== undefined && value !== '') return value;
        known ??= value;
      }
      return known;
    },
  };
}

/** Of processes that ran before the agent, or before a rule needed it, the environment is not known: absent. */
export const ENVIRONMENT_FIELDS: readonly FieldDefinition[] = [
  fieldWithReader(
    'proc.env',
    'CHARBUF',
    'The environment at the last exec, up to 8 KiB; [NAME] is one variable.',
    ownReader,
    { argument: 'optional' },
  ),
  fieldWithReader(
    'proc.aenv',
    'CHARBUF',
    "Ancestors' environments: [1] is the parent's; [NAME] is a variable of the nearest that has it.",
    (argument) => readerOf(argument, ancestors, ancestor),
    { argument: 'optional', noVal: true, noTransformer: true },
  ),
  fieldWithReader(
    'proc.container_aenv',
    'CHARBUF',
    "The same of those ancestors that are the container's (our own).",
    (argument) => readerOf(argument, containerAncestors, containerAncestor),
    { argument: 'optional', noVal: true, noTransformer: true },
  ),
];
