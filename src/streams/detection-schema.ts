import { PRIORITIES } from '../rules/detection.ts';
import { MAX_LINEAGE_ANCESTORS, ORIGINS } from '../rules/lineage.ts';
import { MAX_LINE_BYTES } from './format.ts';

type Schema = Readonly<Record<string, unknown>>;

const text = (description: string): Schema => ({ type: 'string', description });
const textOrNone = (description: string): Schema => ({ type: ['string', 'null'], description });
const count = (description: string): Schema => ({ type: 'integer', minimum: 0, description });
const countOrNone = (description: string): Schema => ({
  type: ['integer', 'null'],
  minimum: 0,
  description,
});
const flag = (description: string): Schema => ({ type: 'boolean', description });
const list = (description: string): Schema => ({
  type: ['array', 'null'],
  items: { type: 'string' },
  description,
});
const time = (of: string): Schema =>
  count(`${of}, Unix time in nanoseconds: more digits than a double has.`);

/** A field that the agent itself writes into `output_fields`. Texts in a truncated line may end early, with `…`. */
const OWN_FIELDS: Readonly<Record<string, Schema>> = {
  'varvel.response': text('What was done about it, such as "kill"; several are separated by ", ".'),
  'varvel.response.outcome': text(
    'What came of it, in the same order, such as "done", "refused" or "prevented".',
  ),
  'varvel.response.guarantee': text(
    'What is certain of it, in the same order, such as "after the effect".',
  ),
  'coverage.when': text(
    'Why it is said now: "start", "running", "stop", "agent stop" or "replaced".',
  ),
  'coverage.version': text('Of the agent.'),
  'coverage.rules': count('Rules that are on for the container.'),
  'coverage.policy': text('Of the app’s own policy: "in force", "refused" or "none".'),
  'coverage.own_rules_paused': flag('Whether the app’s own rules are paused.'),
  'coverage.events': count('Events seen of the container.'),
  'coverage.lost': count('Events that the kernel could not hand over.'),
  'coverage.suppressed': count('Detections that were counted instead of written.'),
  'coverage.last_line': countOrNone('The `seq` of the last line before; 0: there is none yet.'),
  'coverage.not_watched': textOrNone('Which rules are off for now.'),
  'coverage.denies': countOrNone(
    'Of the rules, those by which the kernel denies; null once it has ended.',
  ),
  'coverage.skipped_on_host': countOrNone(
    'Events on the host that the kernel did not report so far (Linux 7.0 and newer); null once it has ended.',
  ),
  'coverage.lines_wait_since': textOrNone(
    'Since when a receiver of the app’s team takes no lines, so that they wait; RFC 3339.',
  ),
  'suppressed.rule': text('Of the detections that were counted instead of written.'),
  'suppressed.priority': text('Of these.'),
  'suppressed.count': count('How many.'),
  'suppressed.first': time('The first of them'),
  'suppressed.last': time('The last of them'),
  'lost.stream': text('The stream that could not take lines.'),
  'lost.count': count('Lines or events that were lost.'),
  'lost.at_most': flag('True: `lost.count` is the most that it can be; absent otherwise.'),
  'lost.numbers': textOrNone('The `seq` of the lines, as ranges.'),
  'lost.first': time('The first that was lost'),
  'lost.last': time('The last that was lost'),
  'lost.own_share': count('Events lost because the container used up its share.'),
  'lost.agent_late': count('Events lost because the agent was late.'),
  'lost.agent_late_ms': count('How late it was, in ms.'),
  'gap.from': count('From this `seq` on, lines may be missing.'),
  'gap.to': count('Up to this one.'),
  'gap.why': text('Why nobody knows: "ended", "host" or "forgotten".'),
  'watched.now': flag('Whether the kernel has room for the container now.'),
  'unwatched.from': time('Since when nobody watched'),
  'unwatched.to': time('Until when'),
  'unwatched.why': text('How the agent before had ended: "stopped" or "killed".'),
  'state.part': text('What of the agent’s state on disk it is about.'),
  'state.kept': flag('Whether it is kept now.'),
  'shed.rules': count('Rules that are switched off for now.'),
  'shed.not_watched': textOrNone('What is not watched meanwhile.'),
  'denial.ended': text('Why nothing is denied any more.'),
  'denial.unseen': count('Calls that were denied while no agent was there.'),
  'policy.state': text('"in force" or "refused".'),
  'policy.digest': textOrNone('SHA-256 of the policy in force.'),
  'own_rules.state': text('Of the app’s own rules: "paused", "resumed" or "rule failed".'),
  'own_rules.rule': textOrNone('The rule that it is about.'),
  'own_rules.spent_ms': {
    type: ['number', 'null'],
    minimum: 0,
    description: 'CPU time that they took, in ms.',
  },
  'evidence.of': countOrNone('The `seq` of the detection.'),
  'evidence.id': textOrNone('Its `id`.'),
  'evidence.rule': text('Its rule.'),
  'evidence.responses': text('What was done, with the outcome.'),
  'evidence.missing': list('What could not be had, and why.'),
  'evidence.exe': text('The program.'),
  'evidence.exe_sha256': textOrNone('Its SHA-256.'),
  'evidence.exe_bytes': countOrNone('Its size.'),
  'evidence.file': text('The file whose open was refused.'),
  'evidence.file_sha256': textOrNone('Its SHA-256.'),
  'evidence.file_bytes': countOrNone('Its size.'),
  'evidence.processes': list('"PID NAME PATH" of the process and its ancestors.'),
  'evidence.sockets': list('Its sockets.'),
  'evidence.open': countOrNone('How many descriptors it had open.'),
  'evidence.files': list('The files that it had open.'),
};

const LINEAGE: Schema = {
  type: 'object',
  description:
    'The process and its ancestors in the container; absent in what the agent says of itself, and where it did not fit.',
  properties: {
    processes: {
      type: 'array',
      minItems: 1,
      maxItems: MAX_LINEAGE_ANCESTORS + 1,
      description: 'The process, then its parent, …',
      items: {
        type: 'object',
        properties: {
          pid: count('As the container sees it; 0: not known.'),
          start: count('Hundredths of a second since the host’s start.'),
          name: text('As the process calls itself.'),
        },
        required: ['pid', 'start', 'name'],
      },
    },
    above: {
      enum: ['outside', 'more', 'unknown'],
      description:
        'What is above the last of them: the container’s boundary (also where this is absent), or more ancestors.',
    },
    origin: {
      enum: ORIGINS,
      description: 'How the oldest one came into the container; absent where that is not known.',
    },
  },
  required: ['processes'],
};

const APP: Schema = {
  type: 'object',
  description: 'Whose container it is; absent where that is not known.',
  properties: {
    name: text('The app’s name.'),
    guid: text('Its id on the platform.'),
    space: text('Its space, or its namespace.'),
    org: text('Its organization.'),
    process_type: text('Such as "web".'),
    instance: text('Which of its instances.'),
    sidecar: text('Where it was a sidecar of the app.'),
  },
  required: ['name'],
};

/** What a line has, in the line's order. */
const PROPERTIES: Readonly<Record<string, Schema>> = {
  time: {
    type: 'string',
    pattern: String.raw`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$`,
    description: 'When it happened, by the host’s clock, in UTC.',
  },
  rule: text('Its name; those of the agent’s own notices begin with "Varvel: ".'),
  priority: { enum: PRIORITIES, description: 'How severe it is, as Falco has it.' },
  source: {
    enum: ['syscall', 'varvel'],
    description: '"varvel": what the agent says of itself.',
  },
  hostname: text('The agent’s host.'),
  output: text(
    'The line for people: time of day, priority, text. It has what attackers choose. In a long line, “…” stands for the rest of a value that output_fields has whole.',
  ),
  output_fields: {
    type: 'object',
    description:
      'The fields of the rule’s output by their names in Falco’s language (varvel fields --json says their types); null or not there: absent in the event, or said elsewhere in the line.',
    properties: OWN_FIELDS,
    additionalProperties: {
      type: ['string', 'number', 'boolean', 'null', 'array'],
      items: { type: 'string' },
    },
  },
  tags: { type: 'array', items: { type: 'string' }, description: 'The rule’s, sorted.' },
  app: APP,
  lineage: LINEAGE,
  incident: {
    type: 'string',
    pattern: '^[a-z][a-z0-9]{7}$',
    description: 'The same in all lines of one cause; absent in what the agent says of itself.',
  },
  id: text('Differs for each line; the same where a line arrives twice.'),
  seq: count('Number of the line of its app instance, from 1; 0: what the agent says of itself.'),
  truncated: {
    const: true,
    description:
      'Something was cut: texts end with "…", lists have it as their last entry, and the last fields and tags may be left out.',
  },
};

const OPTIONAL = ['app', 'lineage', 'incident', 'truncated'];

/**
 * The JSON Schema (2020-12) of a line of JSON, as `formatJson` writes it: detections, what the agent says of itself, evidence.
 * More keys may come with later versions, so it forbids none.
 */
export function detectionSchema(): Schema {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    $id: 'urn:varvel:detection',
    title: 'A line of varvel',
    description: `One line of JSON, at most ${MAX_LINE_BYTES} bytes. Readers ignore keys that they do not know: later versions may add some.`,
    type: 'object',
    properties: PROPERTIES,
    required: Object.keys(PROPERTIES).filter((name) => !OPTIONAL.includes(name)),
  };
}
