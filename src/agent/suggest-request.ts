import type { AppProfiles, ProfileOwner, ProfileReport } from './app-profiles.ts';
import type { EventName } from '../events/table.gen.ts';
import { nearestWord } from '../shared/nearest.ts';

/** What `varvel suggest` asks for. */
export interface SuggestRequest {
  /** The app's name, or that of a container of no app. */
  readonly app: string;
  readonly space: string | undefined;
  readonly org: string | undefined;
}

/** What a policy can be made of. */
export interface Suggestion extends ProfileReport {
  readonly hostname: string;
  /** Whether some rule asks now for programs that are run, for connections, and for files that are opened; else the agent does not see them. */
  readonly seesPrograms: boolean;
  readonly seesConnections: boolean;
  readonly seesWrites: boolean;
  /** How many apps were forgotten since the agent's start, perhaps this one too. */
  readonly forgottenApps: number;
}

/** What the agent answers. */
export interface SuggestAnswer {
  /** Why there is no suggestion, as a sentence. */
  readonly refused: string | undefined;
  readonly suggestion: Suggestion | undefined;
}

/** The query of GET /suggest. */
export function suggestQuery({ app, space, org }: SuggestRequest): string {
  const query = new URLSearchParams({ app });
  if (space !== undefined) query.set('space', space);
  if (org !== undefined) query.set('org', org);
  return query.toString();
}

/** Where to look. */
export interface Suggestible {
  readonly profiles: Pick<AppProfiles, 'named' | 'names' | 'forgotten'>;
  readonly hostname: string;
  /** The events that some rule asks for. */
  readonly needs: ReadonlySet<EventName>;
}

const PARAMS = ['app', 'space', 'org'];
/** Limit on names, and on places, in one sentence. */
const LISTED_MAX = 50;

/** What such a query asks for. */
export function answerSuggest(query: URLSearchParams, asked: Suggestible): SuggestAnswer {
  const { app, space, org, ...others } = Object.fromEntries(query);
  const refuse = (refused: string): SuggestAnswer => ({ refused, suggestion: undefined });
  const [unknown] = Object.keys(others);
  if (unknown !== undefined)
    return refuse(`There is no ${quoted(unknown)}: ask with ${PARAMS.join(', ')}.`);
  if (app === undefined || app === '') return refuse('The name of an app is missing.');
  const { profiles, hostname, needs } = asked;
  const named = profiles.named(app);
  if (named.length === 0) return refuse(unknownApp(app, profiles.names()));
  const isMeant = ({ space: itsSpace, org: itsOrg }: ProfileOwner): boolean =>
    (space === undefined || space === (itsSpace ?? '')) &&
    (org === undefined || org === (itsOrg ?? ''));
  const [found, ...more] = named.filter(isMeant);
  if (found === undefined)
    return refuse(`App ${quoted(app)} is not known there. It is known in ${listed(named, place)}.`);
  if (more.length > 0)
    return refuse(
      `Several apps are named ${quoted(app)} here: in ${listed([found, ...more], place)}. Say with --space and --org which.`,
    );
  const suggestion: Suggestion = {
    ...found,
    hostname,
    seesPrograms: needs.has('execve'),
    seesConnections: needs.has('connect'),
    seesWrites: needs.has('openat'),
    forgottenApps: profiles.forgotten,
  };
  return { refused: undefined, suggestion };
}

function unknownApp(app: string, names: readonly string[]): string {
  const sentence = `No app ${quoted(app)} is known here.`;
  if (names.length === 0) return `${sentence} None is, as nothing was watched yet.`;
  const near = nearestWord(app, names);
  const hint = near === undefined ? '' : ` Did you mean ${quoted(near)}?`;
  return `${sentence}${hint} Known are: ${listed(names, quoted)}.`;
}

function place({ space, org }: ProfileOwner): string {
  const inSpace = space === undefined ? 'no space' : `space ${quoted(space)}`;
  return org === undefined ? inSpace : `${inSpace} of org ${quoted(org)}`;
}

function listed<T>(all: readonly T[], show: (one: T) => string): string {
  const shown = all.slice(0, LISTED_MAX).map(show).join(', ');
  return all.length > LISTED_MAX ? `${shown} and ${all.length - LISTED_MAX} more` : shown;
}

const quoted = (text: string): string => JSON.stringify(text.slice(0, 255));
