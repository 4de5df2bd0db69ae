import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { SILENT_LOGGER } from '../../src/shared/logger.ts';
import type { OutgoingLine } from '../../src/streams/receiver.ts';
import { syslogReceiver } from '../../src/streams/syslog/syslog-receiver.ts';

import { HttpService } from './http-receiver.ts';
import { processesNaming } from './processes.ts';
import { Rsyslog } from './rsyslog.ts';
import { runCommand } from './run-command.ts';

/** Lines with this are lost on their way to the program that pages, behind their acknowledgement. */
export const LOST_TEXT = '/data/lost-on-the-way';

/** What arrives at the webhook. */
export interface Page {
  readonly text: string;
  readonly kind: string;
  readonly app: string;
  readonly host: string;
  readonly rule: string;
  readonly priority: string;
  /** '' for losses and silence. */
  readonly incident: string;
  readonly line: string;
}

/**
 * A real rsyslogd with what `varvel alerts rsyslog` prints, and a webhook that keeps its pages. Only the times are others:
 * coverage lines may stay away for `silenceS` seconds, a line that others went beyond for two, and it looks each second.
 */
export class Pager {
  readonly folder = mkdtempSync(join(tmpdir(), 'varvel-alerts-'));
  readonly webhook: HttpService;
  rsyslog!: Rsyslog;
  static async start(silenceS: number, ...options: readonly string[]): Promise<Pager> {
    const pager = new Pager(await HttpService.start());
    const url = `http://127.0.0.1:${pager.webhook.port}/hook?a='b'&c=$(d)`;
    const { code, out, err } = await runCommand('alerts', 'rsyslog', '-w', url, ...options);
    assert.equal(code, 0, err);
    const script = join(pager.folder, 'varvel-rsyslog.sh');
    writeFileSync(script, out);
    const file = join(pager.folder, 'alerts.conf');
    execFileSync('sh', [script], {
      env: {
        ...process.env,
        VARVEL_FOLDER: pager.folder,
        VARVEL_STATE: pager.folder,
        VARVEL_CONFIGURATION: file,
      },
      stdio: 'pipe',
    });
    const page = join(pager.folder, 'page');
    const faster = readFileSync(page, 'utf8')
      .replace('\nSILENCE = 900\n', `\nSILENCE = ${silenceS}\n`)
      .replace('\nGRACE = 60\nTICK = 30\n', '\nGRACE = 2\nTICK = 1\n');
    assert.ok(faster.includes(`\nSILENCE = ${silenceS}\nGRACE = 2\nTICK = 1\n`));
    writeFileSync(page, faster);
    const start = 'ruleset(name="varvel_page") {';
    const configuration = readFileSync(file, 'utf8');
    assert.ok(configuration.includes(start));
    // Acknowledged, and then nowhere, as by a log system that is too small.
    const losing = `${start}\n  if $msg contains "${LOST_TEXT}" then stop`;
    writeFileSync(file, configuration.replace(start, losing));
    pager.rsyslog = await Rsyslog.start({ file, ruleset: 'varvel_page' });
    return pager;
  }

  private constructor(webhook: HttpService) {
    this.webhook = webhook;
  }

  /** Sends lines as the agent does, over a connection of their own. */
  async send(lines: readonly OutgoingLine[], sourceType = 'VARVEL'): Promise<void> {
    const receiver = syslogReceiver(
      {
        enabled: true,
        audience: 'operator',
        format: 'json',
        onUrlChange: 'keep',
        address: { kind: 'tcp', host: '127.0.0.1', port: this.rsyslog.ports.tcp },
        sourceType,
        tls: { ca: undefined, cert: undefined, key: undefined, serverName: undefined },
      },
      SILENT_LOGGER,
    );
    for (let sent = 0; sent < lines.length;) {
      const result = await receiver.send(lines.slice(sent, sent + 100));
      assert.ok(result.taken > 0, result.reason);
      sent += result.taken;
    }
    await receiver.close();
  }

  /** Ends the program that pages without a word; rsyslog starts another for the next line. */
  async killProgram(): Promise<void> {
    const running = (): ReturnType<typeof processesNaming> =>
      processesNaming(join(this.folder, 'page'));
    const [program] = running();
    assert.ok(program !== undefined, 'the program that pages runs');
    process.kill(program.pid, 'SIGKILL');
    for (const end = Date.now() + 10_000; running().some(({ pid }) => pid === program.pid);) {
      assert.ok(Date.now() < end, 'the program that pages goes on');
      await delay(20);
    }
  }

  pages(): Page[] {
    return this.webhook.requests.map(({ body }) => JSON.parse(body) as Page);
  }

  async until(what: string, reached: (pages: readonly Page[]) => boolean): Promise<Page[]> {
    for (const deadlineMs = performance.now() + 30_000; !reached(this.pages());) {
      assert.ok(
        performance.now() < deadlineMs,
        `${what}; there are ${JSON.stringify(this.pages())}`,
      );
      await delay(50);
    }
    return this.pages();
  }

  async stop(): Promise<void> {
    await this.rsyslog.stop();
    const page = join(this.folder, 'page');
    for (const end = Date.now() + 10_000; processesNaming(page).length > 0;) {
      assert.ok(Date.now() < end, 'the program that pages goes on without its rsyslog');
      await delay(20);
    }
    await this.webhook.stop();
    rmSync(this.folder, { recursive: true });
  }
}
