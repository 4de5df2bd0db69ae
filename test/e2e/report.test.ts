import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { after, before, test } from 'node:test';
import { parse, type DefaultTreeAdapterTypes } from 'parse5';
import { startDockerd, type TestDockerd } from '../support/dockerd.ts';
import { E2eAgent, until } from '../support/e2e-agent.ts';
import { dockerLogs, execInContainer, runContainer } from '../support/e2e-docker.ts';

// From attacks in a real container to the page: `docker logs shop 2>&1 | varvel report --from docker`.

let engine: TestDockerd;

before(async () => {
  engine = await startDockerd();
});
after(() => engine[Symbol.asyncDispose]());

interface Element {
  readonly text: string;
  readonly below: readonly Element[];
}

/** The process tree as the page draws it: what a list item says, and the items below it. */
function treeOf(page: string): Element[] {
  const isTag = (node: DefaultTreeAdapterTypes.ChildNode, tag: string): boolean =>
    'tagName' in node && node.tagName === tag;
  const text = (node: DefaultTreeAdapterTypes.ChildNode): string => {
    if ('value' in node) return node.value;
    return 'childNodes' in node ? node.childNodes.map(text).join('') : '';
  };
  const classOf = (node: DefaultTreeAdapterTypes.ChildNode): string =>
    ('attrs' in node && node.attrs.find(({ name }) => name === 'class')?.value) || '';
  const items = (list: DefaultTreeAdapterTypes.Element): Element[] =>
    list.childNodes
      .filter((node): node is DefaultTreeAdapterTypes.Element => isTag(node, 'li'))
      .map((item) => {
        const lists = item.childNodes.filter((node) => ['level', 'deep'].includes(classOf(node)));
        const own = item.childNodes.filter((node) => !lists.includes(node)).map(text);
        return {
          text: own.join(' ').replace(/\s+/g, ' ').trim(),
          below: lists.flatMap((one) => items(one as DefaultTreeAdapterTypes.Element)),
        };
      });
  const found: Element[] = [];
  const visit = (node: DefaultTreeAdapterTypes.ChildNode): void => {
    if (isTag(node, 'ul') && classOf(node) === 'tree')
      found.push(...items(node as DefaultTreeAdapterTypes.Element));
    else if ('childNodes' in node) node.childNodes.forEach(visit);
  };
  parse(page).childNodes.forEach(visit);
  return found;
}

test('attacks in a container, its log, and the page: rules, processes as they were, what to do', async () => {
  await using agent = await E2eAgent.start({ dockerd: engine });
  // Children of children; a script's name is its process's.
  const script = `
    printf '#!/bin/sh\\n/bin/cat /etc/shadow > /dev/null; true\\n' > '/tmp/<img src=x>'
    chmod 755 '/tmp/<img src=x>'
    echo 'GET / 200 <script>alert(1)</script>'
    sh -c 'echo $$; sh -c "/bin/cat /etc/shadow > /dev/null; true"; true'
    '/tmp/<img src=x>'
    sleep 600`;
  const app = await runContainer(engine, script, {
    labels: { 'varvel.enable': 'true', 'varvel.app': 'shop', 'varvel.instance': '0' },
  });
  try {
    const reads = (count: number) => (): boolean =>
      agent.detections('Sensitive file read').length === count;
    await until('two reads', reads(2));
    await execInContainer(app, '/bin/cat /etc/shadow > /dev/null; true');
    await until('one more', reads(3));
    const wanted = agent.detections().length;
    const log = await until('the lines are in the log', async () => {
      const bytes = await dockerLogs(engine, app);
      return bytes.toString().split('"seq":').length > wanted && bytes;
    });
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ['dist/main.js', 'report', '--from', 'docker', '--app', 'shop'],
      { input: log, encoding: 'utf8' },
    );
    assert.equal(status, 0, stderr);
    const rules = new Set(
      agent.detections().flatMap(({ source, rule }) => (source === 'varvel' ? [] : [rule])),
    );
    for (const rule of rules) assert.ok(stdout.includes(`<h3>${rule}</h3>`), rule);
    assert.ok(rules.has('Sensitive file read'));
    assert.match(stdout, /What to do now/);
    assert.doesNotMatch(stdout, /<script|<img/);
    assert.match(stdout, /&lt;script&gt;alert\(1\)/);
    assert.match(stdout, /No number \(seq\) is missing/);

    // pid 1 → sh → sh → cat, as the script ran them; the container's first process, not the runtime's, is on top.
    const shell = Number(/^(\d+)$/m.exec(log.toString())?.[1]);
    const trees = treeOf(stdout);
    const first = trees.find(({ text }) => text.startsWith('The container’s first process'));
    const others = trees.filter((tree) => tree !== first);
    assert.match(
      first?.text ?? '',
      /^The container’s first process, started by its runtime sh pid 1\b/,
    );
    const outer = first?.below.find(({ text }) => new RegExp(`pid ${shell}\\b`).test(text));
    assert.ok(outer, JSON.stringify(first));
    assert.match(outer.below[0]?.below[0]?.text ?? '', /^cat pid \d+ .*Sensitive file read/);
    const byName = first?.below.find(({ text }) => text.includes('<img src=x'));
    assert.match(byName?.below[0]?.text ?? '', /^cat pid \d+ .*Sensitive file read/);
    // docker exec is a tree of its own: nothing in the container started it.
    assert.equal(others.length, 1);
    assert.match(others[0]?.text ?? '', /^Put into the container later, by exec from outside/);
  } finally {
    await app.remove({ force: true });
  }
});
