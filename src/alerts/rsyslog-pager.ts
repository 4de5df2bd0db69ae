import type { AlertRequest } from './alert-request.ts';
import {
  ALERTS,
  COVERAGE,
  GRACE_MINUTES,
  INCIDENT_MINUTES,
  leftOutRules,
  LOSS_PRIORITIES,
  LOSS_RULES,
  prioritiesOf,
  SILENCE_MINUTES,
} from './alert-request.ts';
import { asTag } from './quoting.ts';
import { GAP_RULE, LOST_RULE } from '../streams/notice-rules.ts';

/**
 * The program to which rsyslog passes the agent's lines, one per line, with parts separated by tabs; no part contains a tab. It
 * runs `on-incident` when an incident of an app begins, for losses, and when coverage lines stop. Python, since a shell
 * cannot safely handle names that tenants choose. Open incidents are kept across restarts.
 *
 * It counts lines that are JSON, of apps with an instance: without one, several containers number their lines separately under
 * one name. A number below a later line's, or up to a coverage line's last number, that never arrives is a loss.
 */
export function pagerScript(request: AlertRequest): string {
  const { app, space } = request;
  const settings = {
    priorities: prioritiesOf(request),
    rules: request.rules.map(asTag),
    left_out: leftOutRules(request),
    losses: LOSS_RULES,
    loss_priorities: LOSS_PRIORITIES,
    lost: LOST_RULE,
    gap: GAP_RULE,
    coverage: COVERAGE,
    app_id: app?.by === 'guid' ? asTag(app.value) : null,
    app_name: app?.by === 'name' ? asTag(app.value) : null,
    space: space === undefined ? null : asTag(space),
    silent: ALERTS.silence.summary,
  };
  return `#!/usr/bin/env python3
"""Reads lines of varvel from rsyslog (omprog) and runs on-incident once an incident, with its first line; of losses once an app
and rule, until there was no line of it for so many seconds. Written by "varvel alerts rsyslog"; to change what is paged, run it again."""
import json, os, re, select, signal, subprocess, sys, time

WINDOW = ${INCIDENT_MINUTES * 60}
SILENCE = ${SILENCE_MINUTES * 60}
GRACE = ${GRACE_MINUTES * 60}
TICK = 30
GIVE_UP = 86400
MOST = 100000
MOST_HOLES = 1000
SETTINGS = json.loads(r'''${pythonJson(settings)}''')

FOLDER = os.path.dirname(os.path.realpath(__file__))
STATE = "@STATE@/varvel-page.state"

seen = {}  # (app, incident or rule): when the last line of it came
covered = {}  # (app, host, source): when the last coverage line came
waiting = {}  # (kind, app, incident or rule): (since when, arguments) of an on-incident that failed
numbers = {}  # (app, host, process type, instance, agent's host): Numbers


class Numbers:
    """Of an app instance's lines on one host. The agent gives them one after the other and never goes down; lines may
    overtake each other, so that one that is missing gets GRACE seconds, and again while others of its hole come."""

    def __init__(self, highest, holes=()):
        self.highest, self.holes, self.at = highest, [[*hole, time.time()] for hole in holes], time.time()

    def given(self, last):
        """Numbers up to this one are given. Beyond MOST_HOLES, what is missing is not noticed."""
        self.at = time.time()
        if last > self.highest:
            if len(self.holes) < MOST_HOLES:
                self.holes.append([self.highest + 1, last, self.at])
            self.highest = last

    def here(self, first, last):
        self.given(last)
        holes, self.holes = self.holes, []
        for hole in holes:
            if last < hole[0] or first > hole[1]:
                self.holes.append(hole)
                continue
            parts = [hole[0], first - 1, self.at], [last + 1, hole[1], self.at]
            self.holes += [part for part in parts if part[0] <= part[1]]
        del self.holes[MOST_HOLES:]

    def lost(self):
        """What has been missing for too long, once."""
        late = [hole for hole in self.holes if time.time() - hole[2] > GRACE]
        self.holes = [hole for hole in self.holes if hole not in late]
        return late


def begins(app, what):
    """Whether this line of an incident, or of a rule, is the first; it is under way from now on."""
    before = seen.get((app, what))
    if before is None and len(seen) >= MOST:
        return True
    seen[(app, what)] = time.time()
    return before is None or time.time() - before > WINDOW


def run(arguments):
    try:
        program = os.path.join(FOLDER, "on-incident")
        return subprocess.run([program, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        print(error, file=sys.stderr)
        return False


def page(kind, app, host, rule, priority, text, incident=""):
    arguments = [kind, app, host, rule, priority, text, incident]
    if not run(arguments):
        waiting.setdefault((kind, app, incident or rule), (time.time(), arguments))


def on_line(app, host, source, app_id, app_name, space, process_type, instance, seq, incident, rule, priority, text):
    for given, wanted in ((app_id, "app_id"), (app_name, "app_name"), (space, "space")):
        if SETTINGS[wanted] is not None and given != SETTINGS[wanted]:
            return
    on_number((app, host, process_type, instance), seq, rule, text)
    if rule == SETTINGS["coverage"]:
        covered.pop("expected", None)
        if said(text, "coverage.when") == "stop":
            covered.pop((app, host, source), None)
        elif len(covered) < MOST:
            covered[(app, host, source)] = time.time()
    elif rule in SETTINGS["losses"]:
        if priority in SETTINGS["loss_priorities"] and begins(app, rule):
            page("loss", app, host, rule, priority, text)
    elif priority in SETTINGS["priorities"] and rule not in SETTINGS["left_out"]:
        if (not SETTINGS["rules"] or rule in SETTINGS["rules"]) and begins(app, incident or rule):
            page("detection", app, host, rule, priority, text, incident)


def on_number(whose, seq, rule, text):
    # What rsyslog has cut is no JSON any more, but the agent's host is among what comes first.
    found = re.search(r'"hostname":"((?:[^"\\\\]|\\\\.)*)"', text)
    if found is None or whose[-1] == "":
        return
    key = (*whose, found[1])
    known = numbers.get(key)
    first = last = None
    if rule == SETTINGS["coverage"]:
        last = said(text, "coverage.last_line")
    elif rule == SETTINGS["gap"]:
        # With the agent's end its numbers were all given; else nobody knows, and the agent has said so.
        last = said(text, "gap.to")
        first = None if said(text, "gap.why") == "ended" else said(text, "gap.from")
    elif seq.isdigit() and int(seq) > 0:
        first = last = int(seq)
    if type(last) is not int:
        return
    if known is None:
        # What was given before the first line here is not missing.
        if len(numbers) < MOST:
            numbers[key] = Numbers(last)
    elif type(first) is int:
        known.here(first, last)
    else:
        known.given(last)


def said(text, name):
    try:
        return json.loads(text)["output_fields"][name]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def look():
    now = time.time()
    for key, at in list(covered.items()):
        if now - at > SILENCE:
            del covered[key]
            wanted = SETTINGS["app_name"] or SETTINGS["app_id"]
            app, host = (wanted, "-") if key == "expected" else key[:2]
            if begins(app, "silence"):
                page("silence", app, host, SETTINGS["coverage"], "Critical", SETTINGS["silent"])
    for key, known in list(numbers.items()):
        for first, last, _ in known.lost():
            app, host, _, instance, where = key
            if begins(app, SETTINGS["lost"]):
                which = f"Line {first}" if first == last else f"Lines {first} to {last}"
                page("loss", app, host, SETTINGS["lost"], "Notice", f"{which} of instance {instance} on {where} did not arrive here")
        if now - known.at > GIVE_UP:
            del numbers[key]
    for key, (since, arguments) in list(waiting.items()):
        if run(arguments) or now - since > GIVE_UP:
            del waiting[key]
    for key, at in list(seen.items()):
        if now - at > WINDOW:
            del seen[key]
    keep()


def keep(read_all=False):
    try:
        with open(STATE + ".new", "w") as file:
            state = {"seen": [[at, *key] for key, at in seen.items()], "covered": [key for key in covered if key != "expected"]}
            # Of what came after this nothing would be known: it counts only if nothing did.
            state["numbers"] = [[key, it.highest, [hole[:2] for hole in it.holes]] for key, it in numbers.items()] if read_all else []
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
        for key, highest, holes in state.get("numbers", []):
            app, host, process_type, instance, where = map(str, key)
            numbers[(app, host, process_type, instance, where)] = Numbers(int(highest), [[int(first), int(last)] for first, last in holes])
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
                parts = line.decode("utf-8", "replace").split("\\t", 12)
                if len(parts) == 13:
                    on_line(*parts)
        if time.monotonic() - looked >= TICK:
            looked = time.monotonic()
            look()
    look()
    return True


signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
read_all = False
try:
    read_all = main()
finally:
    keep(read_all)`;
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
# Run once an incident: on-incident KIND APP HOST RULE PRIORITY TEXT INCIDENT
# KIND is detection, loss or silence; APP the app's GUID (or name), HOST its org.space.app (or the host),
# TEXT the whole first line, or which lines did not arrive. INCIDENT is empty for loss and silence.
# If this fails, it is run again every 30 s, for a day.
kind=$1 app=$2 host=$3 rule=$4 priority=$5 text=$6 incident=$7
`;
  if (webhook === undefined) {
    return `${head}# Put here what pages you, or: varvel alerts rsyslog --webhook URL.
exec logger -p user.alert -t varvel-page -- "$kind: $rule ($priority) in $host ($app) $incident: $text"`;
  }
  return `${head}json() {
  local value=\${1//[[:cntrl:]]/ }
  value=\${value//\\\\/\\\\\\\\}
  printf '"%s"' "\${value//\\"/\\\\\\"}"
}
printf '{"text":%s,"kind":%s,"app":%s,"host":%s,"rule":%s,"priority":%s,"incident":%s,"line":%s}' \\
  "$(json "varvel $kind: $rule ($priority) in $host")" "$(json "$kind")" "$(json "$app")" "$(json "$host")" \\
  "$(json "$rule")" "$(json "$priority")" "$(json "$incident")" "$(json "$text")" |
  curl -fsSg -m 20 -H 'Content-Type: application/json' --data-binary @- --url ${shellWord(webhook)} >/dev/null`;
}

/** A word that no shell reads anything in, of one line: what an address cannot have is as addresses write it. */
function shellWord(url: string): string {
  return `'${url.replace(/[\0-\x20'\x7f]/g, (it) => `%${it.charCodeAt(0).toString(16).padStart(2, '0')}`)}'`;
}
