import type { CommandInfo } from './command-info.ts';
import { CONFIG_OPTIONS, JSON_OPTION, USAGE } from './command-options.ts';

/** What people who own an app work with. */
export const POLICY_COMMANDS = {
  policy: {
    summary: 'check an app’s policy (varvel.yml) and say what it comes to',
    operands: '[FILE]',
    description: [
      'A policy switches rules on and off for one app (rules), sets its least priority (minimum_priority), says what the app is like (variables), and adds exceptions and rules of its own in Falco’s syntax (custom_rules). Without FILE: varvel.yml in this folder.',
      'It is checked against the rules that come with varvel, or those of --rules. Agents take it from the container’s label (or the pod’s annotation) varvel.policy, else from the file that the buildpack leaves, else from /etc/varvel/varvel.yml of the image.',
    ],
    options: {
      ...JSON_OPTION,
      schema: {
        type: 'boolean',
        help: 'print the JSON Schema of policies, for editors, and do nothing else',
      },
      rules: {
        type: 'string',
        short: 'r',
        value: 'FILE',
        multiple: true,
        help: 'the operator’s rules, file or folder; may be repeated (default: those that come with varvel)',
      },
    },
    examples: [
      ['varvel policy', 'varvel.yml beside the app'],
      ['varvel policy -r manifests/rules -r my-rules.yaml varvel.yml', 'against other rules'],
    ],
    exitCodes: [
      [0, 'it can be used'],
      [1, 'it has errors'],
      [2, 'a file cannot be read, or the command line is wrong'],
    ],
  },
  suggest: {
    summary: 'a policy (varvel.yml) made of what the running agent saw an app do',
    operands: 'APP',
    description: [
      'Asks the agent on this host by its socket (metrics.listen). It knows the programs that the app ran here since the agent’s start, the addresses that it connected to, and the directories in which it wrote files, which become comments. A host has the name that the app’s own policy has for it. What people ran in its containers is among them, and what the platform did. Read it before you commit it.',
      'What a detection was about is never suggested: it is listed under "Left out", with the rule. That goes for a shell that the app starts by design, too, where a rule reports it: add it yourself.',
      'Bounds: 200 programs, addresses and directories an app, four names an address, 1,000 apps, 30,000 values of all apps together. What is beyond is counted.',
    ],
    options: {
      ...CONFIG_OPTIONS,
      space: {
        type: 'string',
        value: 'NAME',
        help: 'the app’s space, if several apps have the name',
      },
      org: { type: 'string', value: 'NAME', help: 'its org, likewise' },
      ...JSON_OPTION,
    },
    examples: [
      ['varvel suggest shop', 'to be read, and committed beside the app as varvel.yml'],
      ['varvel suggest shop --space prod --org acme', 'one of several of that name'],
    ],
    exitCodes: [
      [0, 'it was printed'],
      [1, 'the agent does not know the app, or several of that name; or no agent answers'],
      USAGE,
    ],
  },
} as const satisfies Record<string, CommandInfo>;
