import type { Priority } from '../rules/detection.ts';
import { PRIORITIES } from '../rules/detection.ts';
import { CANARY_RULE } from '../shared/drill.ts';
import { shellWord } from '../shared/shell-word.ts';
import { escapeHidden } from '../streams/escape.ts';
import { COVERAGE_RULE, NOTICE_RULES } from '../streams/notice-rules.ts';

/** A page is for one incident of an app, of losses for one rule; it ends after this long without a line. */
export const INCIDENT_MINUTES = 15;

/** Coverage lines come every five minutes: this is three missing ones. */
export const SILENCE_MINUTES = 15;

/** A coverage line may overtake earlier lines: the losses that it shows count after this delay. */
export const GRACE_MINUTES = 1;

/** If no app is named, apps with a coverage line within so many hours are expected to continue. */
export const KNOWN_HOURS = 24;

export const COVERAGE = COVERAGE_RULE;

/** The agent's notices of what it did not see or could not write. */
export const LOSS_RULES: readonly string[] = NOTICE_RULES.filter(({ isLoss }) => isLoss).map(
  ({ name }) => name,
);

/** Priorities of loss notices; an all-clear line has a lower one. */
export const LOSS_PRIORITIES: readonly Priority[] = ['Warning', 'Notice'];

/** All of the agent's own lines, its canary's included: none of them is an intruder's action. */
const NOTICES: readonly { readonly name: string; readonly worst: Priority }[] = [
  ...NOTICE_RULES,
  { name: CANARY_RULE, worst: 'Informational' },
];

/** The parts of a line that alerts look at. */
export const FIELD_NAMES = [
  'index',
  'time',
  'source_type',
  'rule',
  'priority',
  'incident',
  'app',
  'app_id',
  'app_name',
  'space',
  'host',
  'message',
] as const;

export type FieldName = (typeof FIELD_NAMES)[number];

/** Names of these fields on a log platform; unsupported ones are absent. */
export type Fields = Readonly<Partial<Record<FieldName, string>>>;

/** What is asked for, checked; the values are the user's, of any characters. */
export interface AlertRequest {
  /** At least this severe, */
  readonly minimum: Priority;
  /** and only of these rules; none stands for all. */
  readonly rules: readonly string[];
  readonly app: { readonly by: 'guid' | 'name'; readonly value: string } | undefined;
  readonly space: string | undefined;
  /** An http or https address. */
  readonly webhook: string | undefined;
  /** How the app's team reads its log. */
  readonly from: LogReader;
  /** As the agent is configured (`streams.*.source_type`). */
  readonly sourceType: string;
  /** Where this user's log platform differs from the usual. */
  readonly fields: Fields;
  /** The agent's version, for the header. */
  readonly version: string;
}

/** What is printed. */
export interface AlertDefinitions {
  /** Ready to be pasted; ends with a newline. */
  readonly text: string;
  /** Where to paste it, and what to know: for stderr, where the text has no comments. */
  readonly notes: readonly string[];
}

/** A log platform that alert definitions can be made for. */
export interface AlertPlatform {
  readonly name: string;
  /** For the list. */
  readonly title: string;
  /** What is printed, for the list. */
  readonly prints: string;
  /** What `--field` can name, and how the usual way of log lines there names it. */
  readonly fields: Fields;
  /** Throws UserError for what the platform's language cannot say. */
  render(request: AlertRequest): AlertDefinitions;
}

/** The priorities that page, most severe first. */
export function prioritiesOf({ minimum }: Pick<AlertRequest, 'minimum'>): readonly Priority[] {
  return PRIORITIES.slice(0, PRIORITIES.indexOf(minimum) + 1);
}

/** Rules to exclude from such an alert: the agent's own lines that have one of the alerting priorities. */
export function leftOutRules(request: Pick<AlertRequest, 'minimum' | 'rules'>): readonly string[] {
  if (request.rules.length > 0) return [];
  const priorities = prioritiesOf(request);
  return NOTICES.filter(({ worst }) => priorities.includes(worst)).map(({ name }) => name);
}

/** The alerts that each platform gets; `tail` only where its language can compare two values of different lines. */
export const ALERTS = {
  detection: {
    title: 'detection',
    summary: 'varvel detected something in an app',
  },
  loss: {
    title: 'loss',
    summary:
      'varvel did not see or could not write all of an app, so that detections may be missing',
  },
  tail: {
    title: 'tail loss',
    summary:
      'the last lines of varvel for an app did not arrive: its coverage line tells of more than there are',
  },
  silence: {
    title: 'silence',
    summary: `no coverage line from varvel for ${SILENCE_MINUTES} minutes: nobody watches, or the lines do not arrive`,
  },
} as const;

/** How the app's team reads its log. */
export const LOG_READERS = ['cf', 'docker', 'kubectl'] as const;

export type LogReader = (typeof LOG_READERS)[number];

/**
 * What to do about an alert: one line of visible text. It names the app, if one was asked for, so that a platform quotes it
 * as it does the app's name.
 */
export function todoOf(request: AlertRequest, alert: keyof typeof ALERTS): string {
  const { app, from } = request;
  const named =
    app === undefined
      ? 'this app'
      : `the app ${app.by === 'guid' ? 'with the GUID ' : ''}${escapeHidden(app.value)}`;
  switch (alert) {
    case 'detection':
      return `Read the lines of the agent in the log of ${named}: ${readingOf(request)}`;
    case 'loss':
      return `The line says what is missing and why. A policy that is refused is for the team of ${named} to mend (varvel policy). Otherwise look at the operator’s copy, and at varvel status on the host.`;
    case 'tail':
      return 'What is missing is in the operator’s copy (streams.file). Ask the operators of the log system: it had acknowledged these lines.';
    case 'silence': {
      const collector = from === 'cf' ? 'the log drain' : 'what collects the logs of containers';
      return `Is ${named} running? Is the agent on its host (varvel status)? Does ${collector} deliver the app’s own lines?`;
    }
  }
}

/** The command that reads the app's log; capitals stand for what the request does not say. */
function readingOf({ app, space, from, sourceType }: AlertRequest): string {
  const name = app?.by === 'name' ? shellWord(escapeHidden(app.value)) : undefined;
  const pretty = `varvel pretty --from ${from} --only`;
  switch (from) {
    case 'cf': {
      const source =
        sourceType === 'VARVEL' ? '' : ` --source-type ${shellWord(escapeHidden(sourceType))}`;
      return `cf logs ${name ?? 'APP'} --recent | ${pretty}${source}`;
    }
    case 'docker': {
      const label = name === undefined ? 'varvel.app' : `varvel.app=${name}`;
      return `docker logs ${name ?? 'CONTAINER'} 2>&1 | ${pretty} (its containers: docker ps -a --filter label=${label})`;
    }
    case 'kubectl': {
      const of = `-n ${space === undefined ? 'NAMESPACE' : shellWord(escapeHidden(space))}`;
      return `kubectl logs ${of} POD --all-containers | ${pretty} (its pods: kubectl get pods ${of})`;
    }
  }
}

/** For platforms without the alert `tail`. */
export const NO_TAIL_ALERT = [
  'No alert here sees lines that the log system itself lost at the end of a burst. This platform cannot compare what a coverage',
  'line tells (coverage.last_line) with the highest number that came (seq). varvel report and varvel pretty do it.',
] as const;

/** `for app shop, space prod` and so on; '' for everything. */
export function scopeOf(request: AlertRequest): string {
  const parts = [
    ...(request.app === undefined ? [] : [`app ${request.app.value}`]),
    ...(request.space === undefined ? [] : [`space ${request.space}`]),
  ];
  return parts.join(', ');
}
