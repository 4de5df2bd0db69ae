import type { Priority } from '../rules/detection.ts';

// The rules under which the agent writes lines of its own: the one list of them.

/** Prefix of all their names. A user's rule may have it too: only `source` identifies the agent's lines. */
export const NOTICE_PREFIX = 'Varvel: ';

export const SUPPRESSED_RULE = 'Varvel: detections suppressed';
export const LOST_RULE = 'Varvel: lines lost';
export const UNSEEN_RULE = 'Varvel: events lost';
export const GAP_RULE = 'Varvel: numbers uncertain';
export const SHED_RULE = 'Varvel: rules switched off';
export const NO_ROOM_RULE = 'Varvel: no room';
export const COVERAGE_RULE = 'Varvel: coverage';
export const POLICY_RULE = 'Varvel: policy';
export const OWN_RULES_RULE = 'Varvel: own rules';
export const UNWATCHED_RULE = 'Varvel: not watched';
export const STATE_RULE = 'Varvel: state not kept';
export const DENIAL_RULE = 'Varvel: denial ended';
export const UNSEEN_DENIALS_RULE = 'Varvel: denied without an agent';
export const EVIDENCE_RULE = 'Varvel: evidence';

/** What is to be known of one of them. */
export interface NoticeRule {
  readonly name: string;
  /** The most severe priority that its lines have; an all-clear line is Informational or Notice. */
  readonly worst: Priority;
  /** Something may have happened that no line reports. Alerts as a loss, except for an all-clear (Informational). */
  readonly isLoss: boolean;
  /** What it means for whoever reads the log. */
  readonly means: string;
}

export const NOTICE_RULES: readonly NoticeRule[] = [
  {
    name: COVERAGE_RULE,
    worst: 'Informational',
    isLoss: false,
    means: 'What was watched, every five minutes: silence means something then.',
  },
  {
    name: LOST_RULE,
    worst: 'Notice',
    isLoss: true,
    means: 'Lines are missing in this log; the operator’s copy may have them.',
  },
  {
    name: UNSEEN_RULE,
    worst: 'Notice',
    isLoss: true,
    means: 'What happened in these events nobody knows.',
  },
  {
    name: UNWATCHED_RULE,
    worst: 'Warning',
    isLoss: true,
    means: 'What happened in these times nobody knows: no agent was there.',
  },
  {
    name: NO_ROOM_RULE,
    worst: 'Warning',
    isLoss: true,
    means: 'Nothing that happens in this container is seen.',
  },
  {
    name: SHED_RULE,
    worst: 'Warning',
    isLoss: true,
    means: 'Meanwhile what these rules look for was not seen.',
  },
  {
    name: OWN_RULES_RULE,
    worst: 'Warning',
    isLoss: true,
    means:
      'While they are paused, what the app’s own rules look for was not seen, and its exceptions had no effect.',
  },
  {
    name: POLICY_RULE,
    worst: 'Warning',
    isLoss: true,
    means: 'The app’s own rules and exceptions. One that is refused has no effect.',
  },
  {
    name: SUPPRESSED_RULE,
    worst: 'Notice',
    isLoss: false,
    means: 'More of the same was detected than is written: what is here is not all of it.',
  },
  {
    name: GAP_RULE,
    worst: 'Notice',
    isLoss: false,
    means: 'Numbers may be missing here although no line was lost since.',
  },
  {
    name: STATE_RULE,
    worst: 'Warning',
    isLoss: false,
    means: 'The host’s disk does not take what the agent keeps for its next start.',
  },
  {
    name: DENIAL_RULE,
    worst: 'Warning',
    isLoss: false,
    means: 'Nothing is denied in this app any more. What the rules match happens, and is reported.',
  },
  {
    name: UNSEEN_DENIALS_RULE,
    worst: 'Notice',
    isLoss: true,
    means: 'Something was tried that rules deny, and was denied. Nobody knows what.',
  },
  {
    name: EVIDENCE_RULE,
    worst: 'Informational',
    isLoss: false,
    means:
      'What a process was and had open just before a response to the detection that this line names.',
  },
];
