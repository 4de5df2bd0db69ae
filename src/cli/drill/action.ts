import { randomBytes } from 'node:crypto';
import { DRILL_FOLDERS, DRILL_RULES } from '../../shared/drill.ts';
import type { DrillPriority } from '../../shared/drill.ts';
import { shellWord } from '../../shared/shell-word.ts';

/** 80 bits: nobody guesses one before the action shows it. */
const TOKEN_BYTES = 10;

/** What is done in the container, and what comes of it. */
export interface DrillAction {
  readonly token: string;
  readonly priority: DrillPriority;
  /** The rule that reports it. */
  readonly rule: string;
  /** The file that it tries to open. */
  readonly path: string;
  /** For any shell; it ends with 0 although there is no such file. */
  readonly command: string;
}

/** A drill with a token of its own. */
export function newDrillAction(
  priority: DrillPriority,
  token = randomBytes(TOKEN_BYTES).toString('hex'),
): DrillAction {
  const path = `${DRILL_FOLDERS[priority]}${token}`;
  // `:` would end some shells when the redirection fails, being a special built-in (POSIX, 2.8.1).
  const command = `true < ${path} || true`;
  return { token, priority, rule: DRILL_RULES[priority], path, command };
}

/** The same action, ready to be typed, for each platform: what it is about, and the command. */
export function commandsFor(
  { path, command }: DrillAction,
  app = 'APP',
): readonly (readonly [what: string, command: string])[] {
  const name = shellWord(app);
  const node = `node -e 'require("fs").open("${path}",()=>{})'`;
  return [
    ['Cloud Foundry', `cf ssh ${name} -c '${command}'`],
    ['the same as a task', `cf run-task ${name} --name varvel-drill --command '${command}'`],
    ['Docker', `docker exec ${name} sh -c '${command}'`],
    ['Kubernetes', `kubectl exec deploy/${name} -- sh -c '${command}'`],
    ['without a shell', `docker exec ${name} ${node}`],
    ['', `docker exec ${name} python3 -c 'open("${path}")'`],
  ];
}
