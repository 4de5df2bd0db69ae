// The unit without a systemd that runs: its own checker, and its restrictions as far as setpriv has them. The rest is in
// test/vm/guest/systemd.ts, where systemd is PID 1.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

const MANIFESTS = join(import.meta.dirname, '../../manifests');
const UNIT = readFileSync(join(MANIFESTS, 'systemd/varvel.service'), 'utf8');
const INSTALLED = '/opt/varvel/';

const run = (command: string, ...args: readonly string[]) =>
  spawnSync(command, args, { encoding: 'utf8', timeout: 60_000 });

let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'varvel-systemd-'));
  const { status, stderr } = run('bash', join(MANIFESTS, 'bundle.sh'), join(folder, 'varvel'));
  assert.equal(status, 0, stderr);
});
after(() => rmSync(folder, { recursive: true, force: true }));

/** The unit, as if installed in the test's folder, with a change. */
function unit(change: (text: string) => string = (text) => text): string {
  const path = join(folder, 'varvel.service');
  writeFileSync(path, change(UNIT.replaceAll(INSTALLED, `${folder}/varvel/`)));
  return path;
}

test('systemd finds nothing wrong with it', () => {
  const verify = (path: string): string => {
    const { stderr } = run('systemd-analyze', 'verify', '--man=no', path);
    return stderr
      .split('\n')
      .filter((line) => line.includes('varvel.service'))
      .join('\n');
  };
  assert.equal(verify(unit()), '');
  assert.match(verify(unit((text) => text.replace('MemoryMax=', 'MemoryMaks='))), /MemoryMaks/);
});

test('its exposure is at most 3.0 of 10, as systemd-analyze counts', (t) => {
  const security = (path: string, tenths: number) =>
    run(
      'systemd-analyze',
      'security',
      '--offline=true',
      '--no-pager',
      `--threshold=${tenths}`,
      path,
    );
  const { status, stdout } = security(unit(), 30);
  assert.equal(status, 0, stdout);
  t.diagnostic(/Overall exposure.*: ([\d.]+)/.exec(stdout)?.[0] ?? '');
  assert.notEqual(
    security(
      unit((text) => text.replace(/^Protect.*$/gm, '')),
      30,
    ).status,
    0,
  );
});

test('the agent can work with the capabilities of the unit, and each of the first three is needed', () => {
  const names = /^CapabilityBoundingSet=(.*)$/m.exec(UNIT)?.[1]?.split(' ') ?? [];
  assert.deepEqual([...names].sort(), [
    'CAP_BPF',
    'CAP_DAC_OVERRIDE',
    'CAP_PERFMON',
    'CAP_SYS_PTRACE',
  ]);
  assert.match(UNIT, /^NoNewPrivileges=yes$/m);
  const doctor = (capabilities: readonly string[]): { check: string; state: string }[] => {
    const set = capabilities.map((name) => `+${name.slice('CAP_'.length).toLowerCase()}`).join(',');
    const limited = ['setpriv', '--no-new-privs', `--bounding-set=-all,${set}`];
    const command = [...limited, `${folder}/varvel/varvel/bin/varvel`, 'doctor', '--json'];
    // tracefs is where systemd mounts it.
    const mount = 'mount -t tracefs tracefs /sys/kernel/tracing && exec "$@"';
    const { stdout, stderr } = run('unshare', '--mount', 'sh', '-c', mount, 'sh', ...command);
    assert.notEqual(stdout, '', stderr);
    return (JSON.parse(stdout) as { findings: { check: string; state: string }[] }).findings;
  };
  const stateOf = (found: readonly { check: string; state: string }[], name: string) =>
    found.find(({ check }) => check === name)?.state;
  const all = doctor(names);
  assert.deepEqual(
    all.filter(({ state }) => state === 'fail'),
    [],
  );
  assert.equal(stateOf(all, 'self-test'), 'ok');
  assert.equal(stateOf(all, 'privileges'), 'ok');
  const without = (gone: string) => doctor(names.filter((name) => name !== gone));
  assert.equal(stateOf(without('CAP_BPF'), 'privileges'), 'fail');
  assert.equal(stateOf(without('CAP_PERFMON'), 'privileges'), 'fail');
  assert.equal(stateOf(without('CAP_SYS_PTRACE'), 'privileges'), 'warn');
});

/** Runs a script where the places that install.sh writes to are copies that nobody else sees. */
function onCopy(script: string) {
  const copies = ['/etc', '/opt', '/usr/local', '/var/lib', '/var/log', '/run'].map((place) => {
    const layers = `mkdir -p /mnt/up${place} /mnt/work${place}`;
    return `${layers} && mount -t overlay -o lowerdir=${place},upperdir=/mnt/up${place},workdir=/mnt/work${place} none ${place}`;
  });
  const all = ['mount -t tmpfs none /mnt', ...copies, script].join(' && ');
  return run('unshare', '--mount', 'bash', '-c', all);
}

const FIND = `find /opt/varvel* /usr/local/bin/varvel /usr/local/share/man/man1/varvel.1 /etc/varvel /etc/systemd/system/varvel* -maxdepth 0 2>/dev/null | sort`;

test('in the making of an image, where systemd does not run, it is installed and removed whole', () => {
  const scripts = join(MANIFESTS, 'systemd');
  const { status, stdout, stderr } = onCopy(
    `${scripts}/install.sh ${folder}/varvel && ${FIND} && /usr/local/bin/varvel --version && ${scripts}/uninstall.sh && echo left: && ${FIND}`,
  );
  assert.equal(status, 0, stderr);
  assert.match(
    stdout,
    /^install: varvel \d.*\n\/etc\/systemd\/system\/varvel\.service\n\/etc\/varvel\n\/opt\/varvel\n\/usr\/local\/bin\/varvel\n\/usr\/local\/share\/man\/man1\/varvel\.1\n\d.*\nuninstall: varvel is gone\.\nleft:\n$/,
  );
});

test('without systemd nothing is installed, and that is said', () => {
  const scripts = join(MANIFESTS, 'systemd');
  const without =
    'mkdir /mnt/bin && ln -s /usr/bin/* /mnt/bin/ && rm /mnt/bin/systemctl && export PATH=/mnt/bin';
  const { stdout, stderr } = onCopy(
    `${without}; ${scripts}/install.sh ${folder}/varvel; echo install $?; ${scripts}/uninstall.sh; echo uninstall $?; ${FIND}`,
  );
  assert.equal(stdout, 'install 1\nuninstall 1\n');
  assert.match(stderr, /^install: This host has no systemd, so nothing was installed\. Run /m);
  assert.match(stderr, /^uninstall: This host has no systemd/m);
});
