import type { AlertRequest } from './alert-request.ts';
import {
  ALERTS,
  COVERAGE,
  INCIDENT_MINUTES,
  leftOutRules,
  LOSS_RULES,
  prioritiesOf,
  SILENCE_MINUTES,
} from './alert-request.ts';
import { asTag } from './quoting.ts';

/**
 * The program that rsyslog hands the agent's lines to, one a line, parts separated by tabs, of which no part has any. It runs `on-incident` when
 * an app's rule begins to fire, for losses, and when coverage lines stay away. Python, since a shell cannot hold names
 * that tenants choose without reading them. What is under way is kept across restarts.
 */
export function pagerScript(request: AlertRequest): string {
  const { app, space } = request;
  const settings = {
    priorities: prioritiesOf(request),
    rules: request.rules.map(asTag),
    left_out: leftOutRules(request),
    losses: LOSS_RULES,
    coverage: COVERAGE,
    app_id: app?.by === 'guid' ? asTag(app.value) : null,
    app_name: app?.by === 'name' ? asTag(app.value) : null,
    space: space === undefined ? null : asTag(space),
    silent: ALERTS.silence.summary,
  };
  return `#!/usr/bin/env python3
"""Reads lines of varvel from rsyslog (omprog) and runs on-incident once an incident: an app and a rule, until there was no
line of it for so many seconds. Written by "varvel alerts rsyslog"; to change what is paged, run it again."""
import json, os, select, signal, subprocess, sys, time

WINDOW = ${INCIDENT_MINUTES * 60}
SILENCE = ${SILENCE_MINUTES * 60}
TICK = 30
GIVE_UP = 86400
MOST = 100000
SETTINGS = json.loads(r'''${pythonJson(settings)}''')

FOLDER = os.path.dirname(os.path.realpath(__file__))
STATE = "@STATE@/varvel-page.state"

seen = {}  # (app, rule): when the last line of the incident came
covered = {}  # (app, host, source): when the last coverage line came
waiting = {}  # (kind, app, rule): (since when, arguments) of an on-incident that failed


def begins(app, rule):
    """Whether this begins an incident; it is under way from now on."""
    before = seen.get((app, rule))
    if before is None and len(seen) >= MOST:
        return True
    seen[(app, rule)] = time.time()
    return before is None or time.time() - before > WINDOW


def run(arguments):
    try:
        program = os.path.join(FOLDER, "on-incident")
        return subprocess.run([program, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        print(error, file=sys.stderr)
        return False


def page(kind, app, host, rule, priority, text):
    arguments = [kind, app, host, rule, priority, text]
    if not run(arguments):
        waiting.setdefault((kind, app, rule), (time.time(), arguments))


def on_line(app, host, source, app_id, app_name, space, rule, priority, text):
    for given, wanted in ((app_id, "app_id"), (app_name, "app_name"), (space, "space")):
        if SETTINGS[wanted] is not None and given != SETTINGS[wanted]:
            return
    if rule == SETTINGS["coverage"]:
        covered.pop("expected", None)
        if when_of(text) == "stop":
            covered.pop((app, host, source), None)
        elif len(covered) < MOST:
            covered[(app, host, source)] = time.time()
    elif rule in SETTINGS["losses"]:
        if begins(app, rule):
            page("loss", app, host, rule, priority, text)
    elif priority in SETTINGS["priorities"] and rule not in SETTINGS["left_out"]:
        if (not SETTINGS["rules"] or rule in SETTINGS["rules"]) and begins(app, rule):
            page("detection", app, host, rule, priority, text)


def when_of(text):
    try:
        return json.loads(text)["output_fields"]["coverage.when"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return "running"


def look():
    now = time.time()
    for key, at in list(covered.items()):
        if now - at > SILENCE:
            del covered[key]
            wanted = SETTINGS["app_name"] or SETTINGS["app_id"]
            app, host = (wanted, "-") if key == "expected" else key[:2]
            if begins(app, "silence"):
                page("silence", app, host, SETTINGS["coverage"], "Critical", SETTINGS["silent"])
    for key, (since, arguments) in list(waiting.items()):
        if run(arguments) or now - since > GIVE_UP:
            del waiting[key]
    for key, at in list(seen.items()):
        if now - at > WINDOW:
            del seen[key]
    keep()


def keep():
    try:
        with open(STATE + ".new", "w") as file:
            state = {"seen": [[at, *key] for key, at in seen.items()], "covered": [key for key in covered if key != "expected"]}
            json.dump(state, file)
        os.replace(STATE + ".new", STATE)
    except OSError as error:
        print(error, file=sys.stderr)


def remember():
    try:
        with open(STATE) as file:
            state = json.load(file)
        for at, app, rule in state["seen"]:
            seen[(str(app), str(rule))] = float(at)
        # What came while nothing ran is not known: it gets the whole time again.
        for app, host, source in state["covered"]:
            covered[(str(app), str(host), str(source))] = time.time()
    except (OSError, ValueError, TypeError, KeyError):
        pass
    if SETTINGS["app_name"] is not None or SETTINGS["app_id"] is not None:
        covered["expected"] = time.time()


def main():
    remember()
    looked, rest = time.monotonic(), b""
    while True:
        if select.select([0], [], [], max(0, looked + TICK - time.monotonic()))[0]:
            chunk = os.read(0, 65536)
            if not chunk:
                break
            *lines, rest = (rest + chunk).split(b"\\n")
            for line in lines:
                parts = line.decode("utf-8", "replace").split("\\t", 8)
                if len(parts) == 9:
                    on_line(*parts)
        if time.monotonic() - looked >= TICK:
            looked = time.monotonic()
            look()
    look()


signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
try:
    main()
finally:
    keep()`;
}

/** JSON that is the inside of a raw string of Python in three single quotes: none of them is in it, nor anything but ASCII. */
function pythonJson(value: object): string {
  return JSON.stringify(value).replace(/['\u007f-\uffff]/g, (it) =>
    it === "'" ? '\\u0027' : `\\u${it.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** What is done for an incident, with the webhook if there is one. Ours to begin with, then the user's. */
export function incidentScript(webhook: string | undefined): string {
  const head = `#!/bin/bash
# Run once an incident: on-incident KIND APP HOST RULE PRIORITY TEXT
# KIND is detection, loss or silence; APP the app's GUID (or name), HOST its org.space.app (or the host), TEXT the whole line.
# If this fails, it is run again every 30 s, for a day.
kind=$1 app=$2 host=$3 rule=$4 priority=$5 text=$6
`;
  if (webhook === undefined) {
    return `${head}# Put here what pages you, or: varvel alerts rsyslog --webhook URL.
exec logger -p user.alert -t varvel-page -- "$kind: $rule ($priority) in $host ($app): $text"`;
  }
  return `${head}json() {
  local value=\${1//[[:cntrl:]]/ }
  value=\${value//\\\\/\\\\\\\\}
  printf '"%s"' "\${value//\\"/\\\\\\"}"
}
printf '{"text":%s,"kind":%s,"app":%s,"host":%s,"rule":%s,"priority":%s,"line":%s}' \\
  "$(json "varvel $kind: $rule ($priority) in $host")" "$(json "$kind")" "$(json "$app")" "$(json "$host")" \\
  "$(json "$rule")" "$(json "$priority")" "$(json "$text")" |
  curl -fsSg -m 20 -H 'Content-Type: application/json' --data-binary @- --url ${shellWord(webhook)} >/dev/null`;
}

/** A word that no shell reads anything in, of one line: what an address cannot have is as addresses write it. */
function shellWord(url: string): string {
  return `'${url.replace(/[\0-\x20'\x7f]/g, (it) => `%${it.charCodeAt(0).toString(16).padStart(2, '0')}`)}'`;
}
