import { parseArgs } from 'node:util';

import { nearestWord } from '../shared/nearest.ts';
import { requireOpenFiles } from '../shared/open-files.ts';
import { UserError } from '../shared/user-error.ts';
import { commandHelp, overview } from './command-help.ts';
import { COMMANDS } from './command-table.ts';
import type { CommandInfo } from './command-info.ts';
import type { CommandName } from './command-table.ts';
import type { ReadingIo } from './io.ts';

/** What `main.ts` takes from the process. */
export interface CommandLine {
  /** Without the interpreter and the script. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly version: string;
  /** How this program is started, without its arguments; undefined: it cannot start itself again. */
  readonly program?: readonly string[];
}

/** What was given of a command's options, all kinds together. */
export interface Given {
  readonly values: Readonly<Record<string, string | boolean | (string | boolean)[] | undefined>>;
  readonly operands: readonly string[];
}

/**
 * Runs the command that the command line names. Resolves to the exit code: 0 ok, 1 a problem was found or it
 * failed, 2 the command line is wrong. Throws UserError (with its exit code) and whatever a command throws.
 */
export async function runCommandLine(line: CommandLine, io: ReadingIo): Promise<number> {
  const [first, ...rest] = line.argv;
  if (first === undefined) {
    io.stderr(overview(line.version));
    return 2;
  }
  if (first === '--version' || first === '-V' || first === 'version') {
    io.stdout(`${line.version}\n`);
    return 0;
  }
  if (first === '--help' || first === '-h' || first === 'help') {
    const [name] = rest;
    io.stdout(name === undefined ? overview(line.version) : commandHelp(commandNamed(name)));
    return 0;
  }
  if (first.startsWith('-')) {
    throw usage(
      `The command comes first, then its options: varvel COMMAND ${first.slice(0, 100)}.`,
    );
  }
  const { name, given } = parseCommand(first, rest);
  if (given.values['help'] === true) {
    io.stdout(commandHelp(name));
    return 0;
  }
  return await run(name, given, line, io);
}

/** The command of this name with its options. Throws UserError when there is no such command or option. */
export function parseCommand(
  first: string,
  rest: readonly string[],
): { readonly name: CommandName; readonly given: Given } {
  const name = commandNamed(first);
  return { name, given: parse(name, rest) };
}

async function run(
  name: CommandName,
  given: Given,
  line: CommandLine,
  io: ReadingIo,
): Promise<number> {
  const { values, operands } = given;
  const config = textOf(values['config']);
  const settings = textsOf(values['set']);
  const json = values['json'] === true;
  const { env, version } = line;
  switch (name) {
    case 'agent': {
      requireOpenFiles('agent');
      const { runAgent } = await import('./agent.ts');
      return await runAgent({
        config,
        settings,
        env,
        version,
        replace: values['replace'] === true,
        again: { program: line.program ?? [], args: line.argv },
      });
    }
    case 'status': {
      const [{ runStatus }, { loadConfig }] = await Promise.all([
        import('./status.ts'),
        import('../config/load.ts'),
      ]);
      const loaded = loadConfig({ file: config, settings, env });
      const rules = values['rules'] === true;
      return await runStatus({ config: loaded.config, json, rules }, io);
    }
    case 'canary': {
      const [{ runCanary }, { loadConfig }] = await Promise.all([
        import('./canary.ts'),
        import('../config/load.ts'),
      ]);
      const loaded = loadConfig({ file: config, settings, env });
      return await runCanary({ config: loaded.config, json }, io);
    }
    case 'lift': {
      const [{ runLift }, { loadConfig }] = await Promise.all([
        import('./lift.ts'),
        import('../config/load.ts'),
      ]);
      const [app, rule, time] = [values['app'], values['rule'], values['for']].map(textOf);
      const loaded = loadConfig({ file: config, settings, env });
      return await runLift(
        { config: loaded.config, json, app, rule, time, end: values['end'] === true },
        io,
      );
    }
    case 'uninstall': {
      const [{ runUninstall }, { loadConfig }] = await Promise.all([
        import('./uninstall.ts'),
        import('../config/load.ts'),
      ]);
      return await runUninstall(loadConfig({ file: config, settings, env }).config, io);
    }
    case 'expose-metrics': {
      const { runExposeMetrics } = await import('./expose-metrics.ts');
      const [socket, listen] = [values['socket'], values['listen']].map(textOf);
      return await runExposeMetrics({ socket, listen }, io);
    }
    case 'completion': {
      const { runCompletion } = await import('./completion.ts');
      return await runCompletion(operands, io);
    }
    case 'check': {
      const { runCheck } = await import('./check.ts');
      return await runCheck({ files: operands, json, engine: textOf(values['engine']) }, io);
    }
    case 'explain': {
      const { runExplain } = await import('./explain/explain.ts');
      const [all, runbook] = [values['all'] === true, values['runbook'] === true];
      const response = textOf(values['response']);
      return await runExplain({ operands, all, runbook, response, json }, io);
    }
    case 'test': {
      const { runTest } = await import('./test/test.ts');
      return await runTest({ files: operands, json, junit: textOf(values['junit']) }, io);
    }
    case 'filter': {
      const { runFilter } = await import('./filter.ts');
      return await runFilter({ operands, fields: textOf(values['fields']), json }, io);
    }
    case 'demo': {
      const { runDemo } = await import('./demo.ts');
      return await runDemo({ version }, io);
    }
    case 'doctor': {
      requireOpenFiles('other');
      const { runDoctor } = await import('./doctor/doctor.ts');
      const showConfig = values['show-config'] === true;
      return await runDoctor({ config, settings, env, json, showConfig }, io);
    }
    case 'policy': {
      const { runPolicy } = await import('./policy.ts');
      const [file] = operands;
      const rules = Array.isArray(values['rules']) ? values['rules'].map(String) : [];
      const schema = values['schema'] === true;
      return await runPolicy({ file, rules, json, schema }, io);
    }
    case 'suggest': {
      const [{ runSuggest }, { loadConfig }] = await Promise.all([
        import('./suggest.ts'),
        import('../config/load.ts'),
      ]);
      const loaded = loadConfig({ file: config, settings, env });
      const [app] = operands;
      const [space, org] = [values['space'], values['org']].map(textOf);
      return await runSuggest({ config: loaded.config, json, app, space, org }, io);
    }
    case 'pretty': {
      const { runPretty } = await import('./pretty.ts');
      return await runPretty(
        {
          files: operands,
          only: values['only'] === true,
          priority: textOf(values['priority']),
          from: textOf(values['from']),
          source: textOf(values['source-type']),
          app: textOf(values['app']),
          since: textOf(values['since']),
          color: textOf(values['color']),
          json: values['json'] === true,
          nowMs: Date.now(),
        },
        io,
      );
    }
    case 'report': {
      const { runReport } = await import('./report.ts');
      return await runReport(
        {
          file: operands[0],
          output: textOf(values['output']),
          version,
          since: textOf(values['since']),
          until: textOf(values['until']),
          app: textOf(values['app']),
          id: textOf(values['id']),
          rules: textsOf(values['rules']),
          from: textOf(values['from']),
          source: textOf(values['source-type']),
          nowMs: Date.now(),
        },
        io,
      );
    }
    case 'alerts': {
      const { runAlerts } = await import('./alerts.ts');
      return runAlerts(
        {
          platform: operands[0],
          rules: textsOf(values['rule']),
          fields: textsOf(values['field']),
          priority: textOf(values['priority']),
          app: textOf(values['app']),
          space: textOf(values['space']),
          webhook: textOf(values['webhook']),
          sourceType: textOf(values['source-type']),
          from: textOf(values['from']),
          version,
        },
        io,
      );
    }
    case 'schema': {
      const { runSchema } = await import('./schema.ts');
      return runSchema(operands[0], io);
    }
    case 'drill': {
      const [{ runDrill }, { drillHost }] = await Promise.all([
        import('./drill/drill.ts'),
        import('./drill/host.ts'),
      ]);
      return await runDrill(
        {
          run: textOf(values['run']),
          logs: textOf(values['logs']),
          expect: textOf(values['expect']),
          listen: textOf(values['listen']),
          headers: textsOf(values['header']),
          expectText: textOf(values['expect-text']),
          app: textOf(values['app']),
          priority: textOf(values['priority']),
          timeout: textOf(values['timeout']),
          from: textOf(values['from']),
          sourceType: textOf(values['source-type']),
          env,
          json,
          host: drillHost({ file: config, settings, env }),
        },
        io,
      );
    }
    case 'events': {
      const { runEvents } = await import('./events.ts');
      const [filter] = operands;
      return await runEvents({ json, ...(filter === undefined ? {} : { filter }) }, io);
    }
    case 'fields': {
      const { runFields } = await import('./fields.ts');
      const [filter] = operands;
      const status = values['status'] === true;
      return await runFields({ json, status, ...(filter === undefined ? {} : { filter }) }, io);
    }
  }
}

function commandNamed(name: string): CommandName {
  if (Object.hasOwn(COMMANDS, name)) return name as CommandName;
  const near = nearestWord(name, Object.keys(COMMANDS));
  const help = near === undefined ? ' See varvel --help.' : ` Did you mean "varvel ${near}"?`;
  throw usage(`There is no command "${name.slice(0, 100)}".${help}`);
}

function parse(name: CommandName, argv: readonly string[]): Given {
  const info: CommandInfo = COMMANDS[name];
  const options: Record<
    string,
    { type: 'string' | 'boolean'; short?: string; multiple?: boolean }
  > = {
    help: { type: 'boolean', short: 'h' },
  };
  for (const [long, { type, short, multiple }] of Object.entries(info.options)) {
    options[long] = {
      type,
      ...(short === undefined ? {} : { short }),
      ...(multiple === undefined ? {} : { multiple }),
    };
  }
  try {
    const { values, positionals } = parseArgs({
      args: [...argv],
      options,
      allowPositionals: true,
      strict: true,
    });
    checkOperands(name, info, positionals);
    return { values, operands: positionals };
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw usage(explain(name, options, error));
  }
}

function checkOperands(name: CommandName, info: CommandInfo, operands: readonly string[]): void {
  const max = info.operands === '' ? 0 : /…\]?$/.test(info.operands) ? Infinity : 1;
  if (operands.length > max) {
    const extra = (operands[max] ?? '').slice(0, 100);
    throw usage(`"${extra}" is too much: see varvel ${name} --help.`);
  }
}

/** parseArgs's errors in our words. */
function explain(
  name: CommandName,
  options: Readonly<Record<string, object>>,
  error: unknown,
): string {
  const { code, message } = error as NodeJS.ErrnoException;
  const option = /'(?:-\w, )?(--?[^' =]+)/.exec(message)?.[1] ?? '';
  const seeHelp = `See varvel ${name} --help.`;
  if (code === 'ERR_PARSE_ARGS_UNKNOWN_OPTION') {
    const near = nearestWord(
      option,
      Object.keys(options).map((long) => `--${long}`),
    );
    const help = near === undefined ? seeHelp : `Did you mean ${near}?`;
    return `varvel ${name} has no option ${option.slice(0, 100)}. ${help}`;
  }
  if (code === 'ERR_PARSE_ARGS_INVALID_OPTION_VALUE') {
    return message.includes('does not take an argument')
      ? `${option} takes no value. ${seeHelp}`
      : `${option} needs a value. ${seeHelp}`;
  }
  return `${message} ${seeHelp}`;
}

function textOf(value: Given['values'][string]): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function textsOf(value: Given['values'][string]): readonly string[] {
  return Array.isArray(value) ? value.map(String) : [];
}

function usage(message: string): UserError {
  return new UserError(message, { exitCode: 2 });
}
