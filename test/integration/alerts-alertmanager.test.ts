// What `varvel alerts` prints for alertmanager.yml, checked by Alertmanager's own amtool, and in a running Alertmanager: one page
// an incident.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { parse } from 'yaml';
import { HttpService } from '../support/http-receiver.ts';
import { freeTcpPort } from '../support/rsyslog.ts';
import { runCommand } from '../support/run-command.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { until } from '../support/until.ts';

const folder = temporaryFolder('varvel-alertmanager-');

type AlertLabels = Readonly<Record<string, string>>;

/** What Alertmanager posts to a webhook: a page. */
interface Page {
  readonly groupLabels: AlertLabels;
  readonly alerts: readonly { readonly labels: AlertLabels }[];
}

/** The configuration of somebody who has taken in what is printed; it does not wait 10 s for what belongs together. */
async function configFor(platform: string, webhook: string): Promise<string> {
  const { code, out, err } = await runCommand('alerts', platform, '--webhook', webhook);
  assert.equal(code, 0, err);
  const [, comment = ''] = out.split(/^# For alertmanager\.yml:.*\n/m);
  const { route, receivers } = parse(comment.replaceAll(/^# ?/gm, '')) as {
    route: object;
    receivers: object[];
  };
  const config = {
    route: { receiver: 'nobody', ...route },
    receivers: [{ name: 'nobody' }, ...receivers],
  };
  const file = join(folder, `${platform}.yml`);
  // JSON is YAML.
  writeFileSync(file, JSON.stringify(config).replaceAll('"group_wait":"10s"', '"group_wait":"1s"'));
  return file;
}

/** Starts one on loopback, alone. Resolves with its address when it is ready. */
async function startAlertmanager(context: TestContext, config: string): Promise<string> {
  const address = `127.0.0.1:${await freeTcpPort()}`;
  const child = spawn(
    'prometheus-alertmanager',
    [
      `--config.file=${config}`,
      `--storage.path=${join(folder, 'data')}`,
      `--web.listen-address=${address}`,
      '--cluster.listen-address=',
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  context.after(async () => {
    const ended = once(child, 'exit');
    if (child.kill('SIGKILL')) await ended;
  });
  await until(
    () => `Alertmanager is ready; it says ${said}`,
    async () => (await fetch(`http://${address}/-/ready`).catch(() => undefined))?.ok,
  );
  return `http://${address}`;
}

/** The pages that these alerts make, which come at once. */
async function pagesOf(
  context: TestContext,
  platform: string,
  alerts: readonly AlertLabels[],
): Promise<readonly Page[]> {
  const service = await HttpService.start();
  context.after(() => service.stop());
  const config = await configFor(platform, `http://127.0.0.1:${service.port}/page`);
  const { status, stdout, stderr } = spawnSync('amtool', ['check-config', config], {
    encoding: 'utf8',
  });
  assert.equal(status, 0, stdout + stderr);
  const url = await startAlertmanager(context, config);
  const answer = await fetch(`${url}/api/v2/alerts`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(alerts.map((labels) => ({ labels }))),
  });
  assert.equal(answer.status, 200, await answer.text());
  const pages = (): readonly Page[] => service.requests.map(({ body }) => JSON.parse(body) as Page);
  await until(
    () => `all is paged: ${JSON.stringify(pages())}`,
    () => pages().flatMap((page) => page.alerts).length >= alerts.length,
  );
  return pages();
}

const RULES = ['Reverse shell', 'Sensitive file read', 'a "rule" | {{ $x }}\n'];

test('Loki: all alerts of an incident are one page, and no other incident is in it', async (context) => {
  const incidents = ['a1b2c3d4', 'k3zq81vd'].flatMap((varvel_incident) =>
    ['shop', 'blog'].flatMap((app) =>
      RULES.map((varvel_rule) => ({
        ...{ alertname: 'VarvelDetection', host: 'cell-1', varvel_priority: 'Critical' },
        ...{ app, varvel_incident, varvel_rule },
      })),
    ),
  );
  const loss = { alertname: 'VarvelLoss', host: 'cell-1', app: 'shop', varvel_rule: RULES[0]! };
  const pages = await pagesOf(context, 'loki', [...incidents, loss]);
  assert.deepEqual(
    pages
      .map(({ groupLabels, alerts }) => [
        groupLabels['alertname'],
        groupLabels['app'],
        groupLabels['varvel_incident'],
        alerts.length,
      ])
      .sort(),
    [
      ['VarvelDetection', 'blog', 'a1b2c3d4', 3],
      ['VarvelDetection', 'blog', 'k3zq81vd', 3],
      ['VarvelDetection', 'shop', 'a1b2c3d4', 3],
      ['VarvelDetection', 'shop', 'k3zq81vd', 3],
      ['VarvelLoss', 'shop', undefined, 1],
    ],
  );
});

test('Prometheus: incidents that one rule began in an app of a host are one page', async (context) => {
  const of = (app: string, rule: string): AlertLabels => ({
    ...{ alertname: 'VarvelIncident', instance: 'cell-1', job: 'varvel', severity: 'page' },
    ...{ org: 'acme', space: 'prod', app, rule },
  });
  const pages = await pagesOf(context, 'prometheus', [
    of('shop', RULES[0]!),
    of('shop', RULES[2]!),
    of('blog', RULES[0]!),
  ]);
  assert.deepEqual(
    pages
      .map(({ groupLabels, alerts }) => [groupLabels['app'], groupLabels['rule'], alerts.length])
      .sort(),
    [
      ['blog', RULES[0], 1],
      ['shop', RULES[0], 1],
      ['shop', RULES[2], 1],
    ],
  );
});
