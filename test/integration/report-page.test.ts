import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { Chromium, noChromium } from '../support/chromium.ts';
import { pageFacts } from '../support/page-facts.ts';
import { runCommandOn } from '../support/run-command.ts';
import { line } from '../unit/reading/report-fixture.ts';

// The page of `varvel report` in a real browser: as it is painted, not as it is meant.

const folder = mkdtempSync(join(tmpdir(), 'varvel-page-'));
after(() => rmSync(folder, { recursive: true }));

const HOSTILE =
  '<script>document.title="run"</script><img src=http://127.0.0.1:1/x onerror=alert(1)>\u202e';
const PROCESSES = Array.from({ length: 9 }, (_, n) => ({
  pid: 4_194_300 - n,
  start: 1000 - n,
  name: n === 0 ? '<b>x</b>' : `program-of-${n}`,
}));

/** Everything that a page can have, and names that no layout likes. */
function incidentLog(): string {
  const priorities = ['Critical', 'Error', 'Warning', 'Notice', 'Informational'] as const;
  return [
    `GET /${'x'.repeat(3000)}`,
    HOSTILE,
    ...priorities.map((priority, n) =>
      line(n === 3 ? 9 : n + 1, n * 7, {
        priority,
        rule: n === 0 ? 'Shell started by an app' : `${'long-name-'.repeat(9)}${n}`,
        output: `${HOSTILE} ${'y'.repeat(900)}`,
        tags: ['mitre_execution', 'T1059.004'],
        outputFields: {
          'fd.name': `${HOSTILE}/${'v'.repeat(400)}`,
          'proc.cmdline': `sh -c ${'z'.repeat(500)}`,
          'proc.exepath': `/${'w'.repeat(200)}`,
        },
        lineage: { processes: PROCESSES.slice(n), above: 'more' },
      }),
    ),
    HOSTILE,
  ].join('\n');
}

const LOOKS = [
  { width: 360, height: 740, scheme: 'light' },
  { width: 360, height: 740, scheme: 'dark' },
  { width: 390, height: 844, scheme: 'light' },
  { width: 1280, height: 900, scheme: 'light' },
  { width: 1280, height: 900, scheme: 'dark' },
] as const;

test(
  'on a phone and a desk, by day and by night: readable, no wider than the window, silent',
  { skip: noChromium ?? false },
  async () => {
    const { out } = await runCommandOn([incidentLog()], 'report');
    const file = join(folder, 'report.html');
    writeFileSync(file, out);
    const url = pathToFileURL(file).href;
    await using browser = Chromium.start();
    const grounds = new Set<unknown>();
    for (const look of LOOKS) {
      const page = await browser.open(url, look);
      const what = `${look.width} ${look.scheme}`;
      const facts = await pageFacts(page);
      assert.deepEqual(facts.poor, [], what);
      assert.ok(facts.texts > 100, what);
      assert.deepEqual(facts.tooWide, [], what);
      assert.equal(facts.scrollsSideways, false, what);
      assert.deepEqual(page.said.messages, [], what);
      assert.deepEqual(page.said.requests, [url], what);
      assert.equal(await page.evaluate('document.title'), 'Incident report: shop');
      assert.equal(await page.evaluate('document.querySelectorAll("script, img, b b").length'), 0);
      grounds.add(await page.evaluate('getComputedStyle(document.body).backgroundColor'));
    }
    assert.equal(grounds.size, 2, 'light and dark differ');
  },
);

test('what a page must not do, this test would see', { skip: noChromium ?? false }, async () => {
  const file = join(folder, 'bad.html');
  writeFileSync(
    file,
    '<!DOCTYPE html><body style="background:#fff"><p style="color:#999;width:2000px">pale</p><img src="missing.png"><script>console.error("x")</script>',
  );
  await using browser = Chromium.start();
  const page = await browser.open(pathToFileURL(file).href, LOOKS[0]);
  const facts = await pageFacts(page);
  assert.deepEqual(
    facts.poor.map(({ text }) => text),
    ['pale'],
  );
  assert.deepEqual([facts.scrollsSideways, facts.tooWide.includes('P.null')], [true, true]);
  assert.ok(page.said.messages.length > 0);
  assert.equal(page.said.requests.length, 2);
});
