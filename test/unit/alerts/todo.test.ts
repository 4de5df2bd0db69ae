// What the texts of alerts say to do: which app, and how its team reads its log.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from 'yaml';
import { LOG_READERS } from '../../../src/alerts/alert-request.ts';
import { PLATFORMS } from '../../../src/alerts/platforms.ts';
import { runCommand } from '../../support/run-command.ts';
import { printed, requestsOf } from './printed.ts';

/** Platforms whose texts say what to do: rsyslog quotes the line itself, Prometheus's are for operators. */
const TELLING = PLATFORMS.map(({ name }) => name).filter(
  (name) => name !== 'rsyslog' && name !== 'prometheus',
);

const todo = async (...options: readonly string[]): Promise<string> => {
  const { out } = await printed('papertrail', ...options);
  return /^ {3}Do: {5}(Read the lines .*)$/m.exec(out)?.[1] ?? '';
};

const COMMANDS = {
  cf: 'cf logs shop --recent | varvel pretty --from cf --only',
  docker:
    'docker logs shop 2>&1 | varvel pretty --from docker --only (its containers: docker ps -a --filter label=varvel.app=shop)',
  kubectl:
    'kubectl logs -n prod POD --all-containers | varvel pretty --from kubectl --only (its pods: kubectl get pods -n prod)',
} as const;

test('each way to read a log, with the app’s name, in the texts of each platform that tells what to do', async () => {
  for (const from of LOG_READERS)
    for (const name of TELLING) {
      const options = ['--app', 'shop', '--space', 'prod', '-w', 'https://h.example'];
      const { out } = await printed(name, ...options, '--from', from);
      const said = `Read the lines of the agent in the log of the app shop: ${COMMANDS[from]}`;
      assert.ok(out.includes(said), `${name} ${from}`);
      assert.match(out, /Is the app shop running\?/, name);
    }
});

test('without --from it is cf; what is not named stands in capitals; another source type is named', async () => {
  const head = 'Read the lines of the agent in the log of';
  assert.equal(
    await todo(),
    `${head} this app: cf logs APP --recent | varvel pretty --from cf --only`,
  );
  const guid = '4cd2b3c3-9f3c-4f8a-9a3e-1f0a4d3f6b70';
  assert.equal(
    await todo('--app', guid, '--source-type', 'Guard'),
    `${head} the app with the GUID ${guid}: cf logs APP --recent | varvel pretty --from cf --only --source-type Guard`,
  );
  assert.equal(
    await todo('--from', 'docker'),
    `${head} this app: docker logs CONTAINER 2>&1 | varvel pretty --from docker --only (its containers: docker ps -a --filter label=varvel.app)`,
  );
  assert.match(await todo('--from', 'kubectl'), /kubectl logs -n NAMESPACE POD .* -n NAMESPACE\)$/);
});

const HOSTILE = `a"b\\c {{ .X }} {{{y}} @all '$(id)'\n\u202e`;
/** As a shell reads it: what is hidden is visible, quotes are closed and opened again. */
const WORD = `'a"b\\c {{ .X }} {{{y}} @all '\\''$(id)'\\''\\n\\u202e'`;

test('a name is a word of the shell, and no part of a platform’s template', async () => {
  const { out: yaml } = await printed('loki', '--app', HOSTILE);
  const [rules] = yaml.split('\n---\n');
  const { groups } = parse(rules ?? '') as {
    groups: { rules: { alert: string; annotations: { description: string } }[] }[];
  };
  const [detection] = groups[0]?.rules ?? [];
  const { description } = detection?.annotations ?? { description: '' };
  // As Go's text/template prints it: the only actions are those that print two braces.
  const actions = description.match(/\{\{.*?\}\}/g) ?? [];
  assert.ok(actions.length >= 2);
  for (const action of actions) assert.equal(action, '{{ "{{" }}');
  assert.ok(description.replaceAll('{{ "{{" }}', '{{').includes(`cf logs ${WORD} --recent`));

  const { out: datadog } = await printed('datadog', '--app', HOSTILE);
  for (const { message } of JSON.parse(datadog) as { message: string }[])
    assert.doesNotMatch(message.replace(/\{\{\[@[\w.]+\]\.name\}\}/g, ''), /[{}@]/);

  const kibana = requestsOf(
    (await printed('elasticsearch', '--app', HOSTILE, '-w', 'https://h.example')).out,
  );
  for (const [, body] of kibana) {
    const { actions: pages = [] } = body as { actions?: { params: { body: string } }[] };
    for (const { params } of pages)
      assert.doesNotMatch(params.body.slice(1, -1).replaceAll('{{context.group}}', ''), /[{}]/);
  }

  const { out: opensearch } = await printed('opensearch', '--app', HOSTILE.replaceAll('{', '{ '));
  const templates = [...opensearch.matchAll(/"source": ("\{\\"text.*"),?$/gm)];
  assert.equal(templates.length, 3);
  for (const [, source = ''] of templates) {
    const text = (JSON.parse(source) as string).replace(/\{\{.*?\}\}/g, '');
    const { text: said } = JSON.parse(text) as { text: string };
    assert.doesNotMatch(said, /[{}"\\]/);
  }
});

test('CloudWatch takes 1024 characters of a description: what is longer is cut', async () => {
  const { out } = await printed('cloudwatch', '--app', `'`.repeat(128), '--from', 'docker');
  const descriptions = [...out.matchAll(/"AlarmDescription": "((?:[^"\\]|\\.)*)"/g)].map(
    ([, text]) => JSON.parse(`"${text}"`) as string,
  );
  assert.equal(descriptions.length, 3);
  assert.equal(Math.max(...descriptions.map(({ length }) => length)), 1024);
});

test('another way to read a log is refused', async () => {
  const { code, out, err } = await runCommand('alerts', 'loki', '--from', 'syslog');
  assert.deepEqual([code, out], [2, '']);
  assert.match(err, /--from must be cf, docker or kubectl, by which .*; it is "syslog"/);
});
