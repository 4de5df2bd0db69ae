import { setTimeout as delay } from 'node:timers/promises';
import { newDrillAction } from './action.ts';
import type { DrillAction } from './action.ts';
import { HostWatch } from './host.ts';
import type { DrillHost } from './host.ts';
import { outcomeOf, seconds } from './hops.ts';
import { LogWatch } from './log.ts';
import { PageListener, PagePoll } from './page.ts';
import type { PageWatch } from './page.ts';
import { planOf } from './plan.ts';
import type { DrillArgs, DrillPlan } from './plan.ts';
import { UserCommand } from './process.ts';
import { instructions, report, reportJson, whatToLookFor } from './report.ts';
import { isComplete, isSeen } from './verdict.ts';
import type { DrillFacts } from './verdict.ts';
import type { Io } from '../io.ts';

const TICK_MS = 50;
const LOOK_MS = 250;
/** An event waits for its container's identity for five seconds at most: what an agent has not reported by now, it will not. */
const AGENT_MS = 8000;
/** A command that failed may have done the action all the same. */
const FAILED_MS = 3000;

/**
 * `varvel drill`: prints an action that is a drill for the default rules; with `--run` has it done, and with `--logs`,
 * `--expect` and `--listen` follows it to the alert. Resolves to the exit code: 0 when all that was asked came, 1 when not.
 * Throws UserError for a wrong command line, and for a page that could tell of nothing.
 */
export async function runDrill(
  args: DrillArgs & { readonly json: boolean; readonly host: DrillHost },
  io: Io,
): Promise<number> {
  const plan = planOf(args);
  const action = newDrillAction(plan.priority);
  if (plan.run === undefined && plan.logs === undefined && plan.page === undefined) {
    if (args.json) io.stdout(`${JSON.stringify(action, null, 2)}\n`);
    else
      io.stdout(
        `${instructions(action, plan.app, io.columns)}\n${whatToLookFor(action, plan.app)}`,
      );
    return 0;
  }
  const drill = new Drill(plan, action, args.host);
  // The first one ends the waiting, so that what is known is said.
  const onInterrupt = (): void => drill.interrupt();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, onInterrupt);
  try {
    const facts = await drill.run({ stderr: (text) => io.stderr(text), columns: io.columns });
    const outcome = outcomeOf(facts);
    io.stdout(args.json ? reportJson(action, outcome) : report(action, outcome, io));
    return outcome.broken === undefined ? 0 : 1;
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, onInterrupt);
    await drill.stop();
  }
}

class Drill {
  readonly #plan: DrillPlan;
  readonly #action: DrillAction;
  readonly #host: HostWatch;
  readonly #log: LogWatch | undefined;
  readonly #page: PageWatch | undefined;
  readonly #pageText: string;
  readonly #unixOffsetMs = Date.now() - performance.now();
  #interrupted = false;
  #command: UserCommand | undefined;
  #run: DrillFacts['run'];
  #beganMs = 0;

  constructor(plan: DrillPlan, action: DrillAction, host: DrillHost) {
    const { run, logs, app, from, sourceType, page } = plan;
    this.#plan = plan;
    this.#action = action;
    const words = [...(run ?? '').split(/[\s'"]+/), ...(app === undefined ? [] : [app])];
    this.#host = new HostWatch({ ...host, rule: action.rule, words });
    this.#log =
      logs === undefined ? undefined : new LogWatch(logs, { action, from, sourceType, app });
    this.#pageText = plan.expectText ?? action.token;
    this.#page =
      page?.kind === 'expect'
        ? new PagePoll(page.url, page.headers, this.#pageText)
        : page?.kind === 'listen'
          ? new PageListener(page.host, page.port, this.#pageText)
          : undefined;
  }

  async run({ stderr: say, columns }: Pick<Io, 'stderr' | 'columns'>): Promise<DrillFacts> {
    await Promise.all([this.#host.begin(), this.#page?.start(), this.#log?.start()]);
    const { run, timeoutMs, app } = this.#plan;
    if (run === undefined) say(`${instructions(this.#action, app, columns)}\n`);
    if (this.#log !== undefined || this.#page !== undefined) {
      const alert = this.#page === undefined ? '' : `, for the alert at ${this.#page.where}`;
      say(`Waiting at most ${seconds(timeoutMs)}${alert} (Ctrl-C ends it).\n`);
    }
    this.#beganMs = performance.now();
    if (run !== undefined) this.#act(run);
    for (let looks = 0; !this.#isOver(); looks++) {
      if (looks % (LOOK_MS / TICK_MS) === 0) await this.#host.look();
      await delay(TICK_MS);
      const incident = this.#log?.facts.drill?.incident;
      // What counts lines names the incident and does not quote them.
      if (incident !== undefined && INCIDENT_ID.test(incident)) this.#page?.also(incident);
    }
    // The final state: queued lines and counters.
    await this.#host.look();
    return this.#facts();
  }

  interrupt(): void {
    this.#interrupted = true;
  }

  async stop(): Promise<void> {
    this.#command?.stop();
    this.#log?.stop();
    await this.#page?.stop();
  }

  #act(run: string): void {
    const beganMs = performance.now();
    const unended = { code: undefined, said: '' };
    this.#run = { beganMs, endedMs: undefined, end: unended };
    this.#command = new UserCommand(run, this.#action.command);
    void this.#command.ended.then((end) => {
      this.#run = { beganMs, endedMs: performance.now(), end };
    });
  }

  /** Everything arrived, or nothing more is expected. */
  #isOver(): boolean {
    const facts = this.#facts();
    const { run, host, waitedMs } = facts;
    if (this.#interrupted || waitedMs >= this.#plan.timeoutMs) return true;
    if (run !== undefined && run.endedMs === undefined) return false;
    const isAsked = facts.log !== undefined || facts.page !== undefined;
    const isCounted = host.state === 'answers' && host.roseAtMs !== undefined;
    if (isComplete(facts) && (isAsked || host.state !== 'answers' || isCounted)) return true;
    if (run === undefined || isSeen(facts)) return false;
    // The action was done, and the agent that should have seen it has not.
    const sinceMs = performance.now() - (run.endedMs ?? 0);
    if (run.end.code !== 0) return sinceMs > (isAsked ? FAILED_MS : LOOK_MS);
    return sinceMs > AGENT_MS && (host.state === 'dead' || isHere(facts));
  }

  #facts(): DrillFacts {
    const page = this.#page;
    return {
      action: this.#action,
      run: this.#run,
      host: this.#host.facts,
      log: this.#log === undefined ? undefined : { ...this.#log.facts },
      page:
        page === undefined
          ? undefined
          : {
              ...page.facts,
              kind: page instanceof PagePoll ? 'expect' : 'listen',
              where: page.where,
              text: this.#pageText,
            },
      waitedMs: performance.now() - this.#beganMs,
      interrupted: this.#interrupted,
      nowUnixMs: Date.now(),
      unixOffsetMs: this.#unixOffsetMs,
    };
  }
}

/** An app that prints a line like the drill's could name a text that is in any page. */
const INCIDENT_ID = /^[a-z][0-9a-z]{7}$/;

/** Whether the container of the drill is one of this host's agent. */
function isHere({ host }: DrillFacts): boolean {
  return host.state === 'answers' && host.last.container !== undefined;
}
