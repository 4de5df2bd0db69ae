import { procId } from '../streams/syslog/rfc5424.ts';
import type { AlertDefinitions, AlertPlatform, AlertRequest } from './alert-request.ts';
import { checkedFields } from './fields.ts';
import { comment } from './quoting.ts';
import { incidentScript, pagerScript } from './rsyslog-pager.ts';

const FOLDER = '/usr/local/lib/varvel';
const CONFIGURATION = '/etc/rsyslog.d/30-varvel-alerts.conf';
/** rsyslog's own, which its user may write to also where that is not root. */
const STATE = '/var/spool/rsyslog';
const END = 'VARVEL_END';

/** What a line is handed over as: parts of the header and tags, which no app writes, and the line; in this order. */
const PARTS = [
  'app-name',
  'hostname',
  'procid',
  tag('app_id'),
  tag('app_name'),
  tag('space_name'),
  tag('process_type'),
  tag('instance_id'),
  tag('varvel_seq'),
  tag('varvel_incident'),
  tag('varvel_rule'),
  tag('varvel_priority'),
  'msg',
];

function tag(name: string): string {
  return `$!rfc5424-sd!tags@47450!${name}`;
}

/**
 * rsyslog, which has no alerts of its own: a rule set that hands the agent's lines to a program, which runs an action once
 * an incident. Both come in one script that puts them in their places.
 */
export const rsyslog: AlertPlatform = {
  name: 'rsyslog',
  title: 'rsyslog, with a program that pages once an incident',
  prints: 'a script that installs both (sh)',
  fields: {},
  render(request: AlertRequest): AlertDefinitions {
    checkedFields({}, request.fields, /^$/);
    const text = [
      '#!/bin/sh',
      comment('#', [
        `Pages for what varvel ${request.version} writes into a syslog stream or drain.`,
        'Where: on the host whose rsyslog gets the drain, as root:  sh varvel-rsyslog.sh',
        `It writes ${CONFIGURATION}, and into ${FOLDER} the programs page (what is one incident) and on-incident`,
        '(what is then done: yours to change). Needs rsyslog 8.24 or newer with its modules mmpstrucdata and omprog, Python 3.6 or newer, bash and curl.',
        'Lines that do not arrive are noticed where the stream has JSON (its format) and the app an instance.',
        'The listener should take messages of 16 KiB: global(maxMessageSize="16k"). An AppArmor or SELinux profile of rsyslogd',
        `has to let it run ${FOLDER}/page.`,
      ]),
      'set -eu',
      `folder=\${VARVEL_FOLDER:-${FOLDER}}`,
      `configuration=\${VARVEL_CONFIGURATION:-${CONFIGURATION}}`,
      `state=\${VARVEL_STATE:-${STATE}}`,
      'mkdir -p "$folder" "$state"',
      '',
      file('"$folder/page"', pagerScript(request), '"s|^STATE = \\"@STATE@|STATE = \\"$state|"'),
      `if [ -e "$folder/on-incident" ]; then written="$folder/on-incident.new"; else written="$folder/on-incident"; fi`,
      file('"$written"', incidentScript(request.webhook)),
      'chmod 755 "$folder/page" "$written"',
      file('"$configuration"', configuration(request), '"s|binary=\\"@FOLDER@|binary=\\"$folder|"'),
      'if [ "$written" != "$folder/on-incident" ]; then echo "There is an on-incident already; the new one is $written." >&2; fi',
      'echo "Check it with: rsyslogd -N1. Then: systemctl restart rsyslog" >&2',
    ].join('\n');
    return { text: `${text}\n`, notes: [] };
  },
};

/** Puts a file in its place, edited by sed where the place is to be in it. */
function file(path: string, content: string, edit?: string): string {
  const put = edit === undefined ? 'cat' : `sed ${edit}`;
  return `${put} > ${path} <<'${END}'\n${content}\n${END}\n`;
}

function configuration({ sourceType }: AlertRequest): string {
  const whole = procId(sourceType, undefined);
  const fields = PARTS.map((name) => `  property(name="${name}")`).join(' constant(value="\\t")\n');
  return [
    comment('#', [
      'Lines that varvel’s agent wrote, by PROCID, which is not in an app’s hands: what an app prints has [APP/…] there.',
      'If a module is loaded elsewhere already, remove its line here.',
    ]),
    'module(load="mmpstrucdata")',
    'module(load="omprog")',
    'template(name="varvel_page" type="list") {',
    `${fields} constant(value="\\n")`,
    '}',
    'ruleset(name="varvel_page") {',
    `  if $procid == ${quoted(whole)} or $procid startswith ${quoted(whole.replace(/\]$/, '/'))} then {`,
    '    action(type="mmpstrucdata")',
    '    action(type="omprog" name="varvel_page" binary="@FOLDER@/page" template="varvel_page"',
    '      queue.type="LinkedList" queue.size="10000" action.resumeRetryCount="-1")',
    '  }',
    '}',
    comment('#', ['An input with a rule set of its own needs this line in that one.']),
    'call varvel_page',
  ].join('\n');
}

/** A string of RainerScript. PROCID is of printable ASCII. */
function quoted(text: string): string {
  return `"${text.replace(/["\\$]/g, '\\$&')}"`;
}
