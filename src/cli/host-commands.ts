import type { CommandInfo } from './command-info.ts';
import { CONFIG_OPTIONS, USAGE } from './command-options.ts';

/** Commands about what surrounds the agent on a host. */
export const HOST_COMMANDS = {
  uninstall: {
    summary: 'remove what an agent leaves on this host, and say what',
    operands: '',
    description: [
      'Removes the state folder (numbers of lines, and lines that still wait for a receiver), sockets, what still denies in the kernel (probe.deny_without_agent), and cgroups left by interrupted self-tests and canaries. Asks nothing; refuses while an agent runs. Configuration, rules and log files stay.',
    ],
    options: CONFIG_OPTIONS,
    examples: [['varvel uninstall', 'after the agent was stopped; then remove the package']],
    exitCodes: [
      [0, 'nothing of an agent is left'],
      [1, 'an agent runs, or something could not be removed'],
      USAGE,
    ],
  },
  'expose-metrics': {
    summary:
      'let a Prometheus elsewhere scrape the agent: /metrics over the network, and nothing else',
    operands: '',
    description: [
      'Runs until SIGTERM or SIGINT. It needs no rights, so give it none: it asks the agent by the socket of metrics.scrape_socket, which answers nothing but /metrics. What comes from the network ends here. Each request is answered from what the agent said within the last second.',
      'It neither encrypts nor asks who is there: let only your Prometheus reach the port.',
    ],
    options: {
      socket: { type: 'string', value: 'PATH', help: 'the agent’s metrics.scrape_socket' },
      listen: {
        type: 'string',
        value: 'HOST:PORT',
        help: 'the address to answer on, such as 10.0.0.7:9434 or [::1]:9434; *:9434 is all',
      },
    },
    examples: [
      [
        'varvel expose-metrics --socket /run/varvel-metrics/metrics.sock --listen *:9434',
        'beside the agent in its pod',
      ],
    ],
    exitCodes: [[0, 'stopped'], [1, 'it cannot listen there'], USAGE],
  },
} as const satisfies Record<string, CommandInfo>;
