import type { Clause, Literal } from '../../plan/verdicts/conjunctions.ts';
import { summaryOf } from '../../plan/verdicts/call-kinds.ts';
import { DENIED_BY } from '../denied-by.ts';
import { wrap } from '../text-table.ts';
import type { DeniableCalls, KernelFacts, RuleFacts } from './rule-facts.ts';

/** Clauses and comparisons that are shown; of one comparison so many characters. */
const MAX_SHOWN = 20;
const MAX_CHARS = 160;
/** Comparisons that the kernel does not decide. */
const MAX_UNDECIDED = 5;

/** What the kernel decides of a rule, for people; none for a rule that is about neither file calls nor connects. */
export function kernelSection(
  { comparisons, kernel }: RuleFacts,
  width: number,
): (readonly [heading: string, lines: readonly string[]])[] {
  if (kernel === undefined) return [];
  const { clauses, decided, certain } = kernel;
  const shown = clauses.slice(0, MAX_SHOWN);
  const more = clauses.length - shown.length;
  const head =
    clauses.length === 0
      ? 'No such call is reported for this rule.'
      : 'A call is reported for this rule only if it';
  const text = (line: string): readonly string[] => wrap(line, width - 2);
  const lines = [
    ...wrap(`${decided} of ${comparisons} comparisons. ${head}`, width),
    ...shown.flatMap((clause) =>
      text(clauseText(clause)).map((line, row) => `${row === 0 ? '-' : ' '} ${line}`),
    ),
    ...(more > 0 ? [`or is one of ${more} kinds more (--json has all)`] : []),
    ...(certain.length > 0 && clauses.length > 0
      ? wrap(`It can be certain of a match for ${certain.join(', ')}.`, width)
      : []),
  ];
  return [['Decided in the kernel', lines]];
}

const DENIED: Readonly<Record<DeniableCalls, string>> = {
  programs: `It ends the program before its first instruction (${DENIED_BY.program}), where the comparisons that the kernel decides are enough.`,
  connections: `It refuses the connection before it is made (EPERM, by ${DENIED_BY.connection}), where the comparisons that the kernel decides are enough.`,
  sockets: `It refuses the connection to a unix socket before it is made (EPERM, by ${DENIED_BY.unix}), where the comparisons that the kernel decides are enough, on a kernel that can ("unix sockets" in varvel doctor).`,
  files: `It refuses to open or change the file (EPERM, by ${DENIED_BY.file}), where the comparisons that the kernel decides are enough, on a kernel that can ("files" in varvel doctor).`,
  calls: `It refuses the call before it has an effect (EPERM, by ${DENIED_BY.call}), where the comparisons that the kernel decides are enough, on a kernel that can ("calls", "exec memory" and "userns" in varvel doctor). Binds to IP addresses and device nodes are also refused by ${DENIED_BY.cgroup} ("binds").`,
};
const NAMED =
  'A file that it names is known by its inode, too: it is refused by any other name, such as a hard link. See the documentation for what is not looked for.';
const NOT_NAMED =
  'It compares paths alone, as it names no file here that could be looked for: another name, such as a hard link, goes around it.';
const LATE: Readonly<Record<DeniableCalls, string>> = {
  programs:
    'It can only kill the process after the effect: the kernel cannot be certain of this rule.',
  connections:
    'It can only kill the process after it has connected: the kernel cannot be certain of this rule.',
  sockets:
    'It can only kill the process after it has connected to a unix socket: the kernel cannot be certain of this rule.',
  files:
    'It can only kill the process after it has opened or changed the file: the kernel cannot be certain of this rule.',
  calls:
    'It can only kill the process after it has made the call: the kernel cannot be certain of this rule.',
};

export const DENIAL = 'With the response "deny"';

/** What `do: deny` does about the rule, for people; none for a rule that is about nothing that can be denied. */
export function denialSection(
  { denial }: RuleFacts,
  width: number,
  maxUndecided = MAX_UNDECIDED,
): (readonly [heading: string, lines: readonly string[]])[] {
  if (denial === undefined) return [];
  const { about, before, namesFiles, undecided } = denial;
  const shown = undecided.slice(0, maxUndecided).map(shortened);
  const more = undecided.length - shown.length;
  const texts = [
    ...about.map((calls) => (before.includes(calls) ? DENIED : LATE)[calls]),
    ...(namesFiles === undefined ? [] : [namesFiles ? NAMED : NOT_NAMED]),
  ];
  const list = shown.flatMap((one) =>
    wrap(one, width - 2).map((line, row) => `${row === 0 ? '-' : ' '} ${line}`),
  );
  return [
    [
      DENIAL,
      [
        ...texts.flatMap((text) => wrap(text, width)),
        ...(list.length > 0 ? ['The kernel does not decide:', ...list] : []),
        ...(more > 0 ? [`and ${more} more (--json has all)`] : []),
      ],
    ],
  ];
}

function clauseText({ kinds, literals }: Clause): string {
  const { events, reads, writes, worked, failed } = summaryOf(kinds);
  const uses = [...(reads ? ['reading'] : []), ...(writes ? ['writing'] : [])];
  const access = uses.length === 0 ? '' : ` for ${uses.join(' and ')}`;
  const result = worked === failed ? '' : worked ? ' and succeeds' : ' and fails';
  const shown = literals.slice(0, MAX_SHOWN).map(literalText);
  const more = literals.length - shown.length;
  const all = [...shown, ...(more > 0 ? [`${more} more`] : [])];
  const where = all.length === 0 ? '' : `, with ${all.join(' and ')}`;
  return `is ${events.join(' or ')}${access}${result}${where}`;
}

function literalText({ text, holds }: Literal): string {
  const shown = shortened(text);
  return holds ? shown : `not ${shown}`;
}

const shortened = (text: string): string =>
  text.length > MAX_CHARS ? `${text.slice(0, MAX_CHARS)}…` : text;

/** The same for machines, whole. */
export const kernelJson = ({ decided, clauses, certain }: KernelFacts): object => ({
  decided,
  certain,
  passes: clauses.map(({ kinds, literals }) => ({
    ...summaryOf(kinds),
    where: literals.map(({ text, holds }) => (holds ? text : `not ${text}`)),
  })),
});
