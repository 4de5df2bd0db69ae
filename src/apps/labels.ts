import type { AppIdentity } from './identity.ts';

/** The labels that name a container's app. Each: 1 to 256 characters, none of them a control character. */
export const APP_LABELS = {
  name: 'varvel.app',
  guid: 'varvel.app-guid',
  space: 'varvel.space',
  org: 'varvel.org',
  processType: 'varvel.process-type',
  instance: 'varvel.instance',
} as const satisfies Record<Exclude<keyof AppIdentity, 'tags' | 'workload'>, string>;

/**
 * The id of the pod sandbox. The cri runtime always sets it, whatever the pod's labels are. The name is the one from
 * when the kubelet used Docker.
 */
export const SANDBOX_LABEL = 'io.kubernetes.sandbox.id';

/** Longest value of an app label, in characters. */
export const MAX_LABEL_CHARS = 256;

/** Holds the policy of the container's app: the text of a varvel.yml. */
export const POLICY_LABEL = 'varvel.policy';

/** Longer policies are cut to this length, one over the limit, so that their reader can refuse them. */
const MAX_POLICY_CHARS = 64 * 1024 + 1;

/** Bounds on what is kept of a container's labels; `varvel.*` labels are kept first. */
const MAX_LABELS = 128;
const MAX_KEY_CHARS = 256;
const MAX_VALUE_CHARS = 4096;

/**
 * Who the app is, from the container's labels; its name falls back to the container's. Labels come from
 * whoever creates the container or builds its image: they name an app, they do not decide where a detection
 * goes (that is the container's own stream). A value that breaks the bounds counts as absent.
 */
export function appFromLabels(
  labels: Readonly<Record<string, string>>,
  containerName: string,
): AppIdentity {
  return {
    name: labelValue(labels, APP_LABELS.name) ?? containerName,
    guid: labelValue(labels, APP_LABELS.guid),
    space: labelValue(labels, APP_LABELS.space),
    org: labelValue(labels, APP_LABELS.org),
    processType: labelValue(labels, APP_LABELS.processType),
    instance: labelValue(labels, APP_LABELS.instance),
  };
}

/** App labels that are present and break the bounds; `apps/status.ts` has the sentence about them. */
export function invalidAppLabels(labels: Readonly<Record<string, string>>): readonly string[] {
  return Object.values(APP_LABELS).filter(
    (key) => labels[key] !== undefined && labelValue(labels, key) === undefined,
  );
}

function labelValue(labels: Readonly<Record<string, string>>, key: string): string | undefined {
  const value = labels[key];
  return value !== undefined && isPlainText(value) ? value : undefined;
}

/** 1 to 256 characters that print on one line: no control, format (bidi), surrogate or line-separator characters. */
export function isPlainText(value: string): boolean {
  return (
    value.length > 0 &&
    value.length <= MAX_LABEL_CHARS &&
    value.trim() !== '' &&
    !/[\p{C}\p{Zl}\p{Zp}]/u.test(value)
  );
}

/**
 * A bounded, frozen copy without a prototype (a label may be named `__proto__`): at most 128 labels, keys
 * of 256 characters (longer ones are left out), values cut at 4096 (a policy at 64 KiB). Values that are no strings are
 * left out.
 */
export function boundedLabels(raw: unknown): Readonly<Record<string, string>> {
  const labels = Object.create(null) as Record<string, string>;
  if (typeof raw !== 'object' || raw === null) return Object.freeze(labels);
  const all = Object.entries(raw as Record<string, unknown>);
  const isOwn = ([key]: readonly [string, unknown]): boolean =>
    key === 'varvel' || key.startsWith('varvel.');
  const own = all.filter(isOwn);
  const others = all.filter((label) => !isOwn(label));
  let count = 0;
  for (const [key, value] of [...own, ...others]) {
    if (count >= MAX_LABELS) break;
    if (typeof value !== 'string' || key.length > MAX_KEY_CHARS) continue;
    const max = key === POLICY_LABEL ? MAX_POLICY_CHARS : MAX_VALUE_CHARS;
    labels[key] = value.length > max ? value.slice(0, max) : value;
    count++;
  }
  return Object.freeze(labels);
}
