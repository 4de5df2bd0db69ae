import { suggestQuery, type SuggestAnswer } from '../agent/suggest-request.ts';
import type { AgentConfig } from '../config/config.ts';
import { askAgent, requireSocket } from '../metrics/endpoint-client.ts';
import { replaceControls } from '../shared/text.ts';
import { UserError } from '../shared/user-error.ts';
import type { Io } from './io.ts';
import { suggestedPolicy } from './suggested-policy.ts';

export interface SuggestArgs {
  readonly config: AgentConfig;
  readonly json: boolean;
  /** The app's name, as given. */
  readonly app: string | undefined;
  readonly space: string | undefined;
  readonly org: string | undefined;
}

/**
 * `varvel suggest`: prints a policy made of what the running agent saw an app do. Exit code 0 if so; 1 if the agent does not know
 * the app, or several of that name. Throws UserError if no agent answers.
 */
export async function runSuggest(
  { config, json, app, space, org }: SuggestArgs,
  io: Io,
): Promise<number> {
  if (app === undefined || app === '')
    throw new UserError('Name the app: varvel suggest APP. See varvel suggest --help.', {
      exitCode: 2,
    });
  const { listen } = config.metrics;
  requireSocket(listen);
  const body = await askAgent(listen, `/suggest?${suggestQuery({ app, space, org })}`);
  const answer = JSON.parse(body) as SuggestAnswer;
  const { refused, suggestion } = answer;
  if (json) io.stdout(`${JSON.stringify(answer, null, 2)}\n`);
  else if (suggestion !== undefined) io.stdout(suggestedPolicy(suggestion));
  // Not to stdout, which becomes the file.
  else io.stderr(`${replaceControls(refused ?? 'The agent has no suggestion.')}\n`);
  return suggestion === undefined ? 1 : 0;
}
