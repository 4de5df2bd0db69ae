import type { Container } from '../apps/identity.ts';
import type { PolicyText } from '../container-files/policy-text.ts';
import { formatDiagnostic } from '../rules/loader/diagnostics.ts';
import type { PolicyResult } from './policy-compiler.ts';

/** Limit on the text about a policy's mistakes in a line. */
const MAX_SAID_CHARS = 1500;

/** News about a container's policy, for its app and for the operator. */
export interface PolicyNews {
  readonly container: Container;
  readonly state: 'in force' | 'refused';
  /** One line, safe to print: the effect of the policy, or its mistakes. */
  readonly text: string;
  /** SHA-256 of its text. */
  readonly digest: string | undefined;
}

/** The news about a policy where the operator lets apps have none. */
export function offNews(container: Container, { name }: PolicyText): PolicyNews {
  const said =
    'here apps have no policies (policies.enabled is false): ask the platform’s operator';
  return refusedNews(container, name, said);
}

function refusedNews(container: Container, name: string, said: string): PolicyNews {
  return {
    container,
    state: 'refused',
    digest: undefined,
    text: `The policy (${name}) of this app is refused, so the operator’s rules watch it as they are: ${said}`,
  };
}

/** The news about a compiled document. */
export function newsOf(
  container: Container,
  { name, trust, refusal, note }: PolicyText,
  { policy, errors, warnings, failure }: PolicyResult,
): PolicyNews {
  const found = [...errors, ...warnings].map((one) => formatDiagnostic(one).split('\n')[0] ?? '');
  const all = [refusal, failure, ...found, note].filter((one) => one !== undefined).join('; ');
  const said = all.length > MAX_SAID_CHARS ? `${all.slice(0, MAX_SAID_CHARS)}…` : all;
  if (policy === undefined) {
    return refusedNews(container, name, said);
  }
  const { active, own, excepted, muted, killing, denying, minimumPriority } = policy.summary;
  const ending = [
    ...(killing.length === 0 ? [] : [`, ${killing.length} that end the process`]),
    ...(denying.length === 0 ? [] : [`, ${denying.length} that deny`]),
  ].join('');
  const doubts = said === '' ? '' : `. But: ${said}`;
  return {
    container,
    state: 'in force',
    digest: policy.digest,
    text: `The policy (${name}, ${trust}) of this app is in force: ${active} rules from ${minimumPriority} up, ${own.length} of its own, ${excepted.length} with exceptions of its own, ${muted.length} off${ending}${doubts}`,
  };
}
