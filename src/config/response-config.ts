import type { Guarantee, ResponseName } from '../shared/response-names.ts';
import type { SourcePosition } from '../shared/user-error.ts';
import type { MinimumPriority } from './config.ts';
import type { ParsedConfig } from './schema.ts';
import { capitalized, given } from './values-given.ts';

/** The response to detections that fit all of `match`. */
export interface ResponseSetting {
  readonly match: {
    /** A name, in which `*` and `?` are wildcards. */
    readonly rule?: string;
    readonly tag?: string;
    /** This priority and higher ones. */
    readonly priority?: MinimumPriority;
    readonly app?: string;
    readonly space?: string;
    readonly org?: string;
  };
  readonly response: ResponseName;
  /** `monitor`: does nothing; the line says what would have been done. */
  readonly mode: 'monitor' | 'enforce';
  /** Of `deny`: ends for an app that it seems to harm, until rules are loaded again. */
  readonly fallsBack: boolean;
  /** Of `deny`, at least. What is not prevented is only reported, or killed after the effect. */
  readonly guarantee: Guarantee;
  /** `else: refuse`: a host that cannot give this guarantee does not take the entry. */
  readonly refuses: boolean;
  /** Of those that an app notices as a whole: also done to the last of its instances that is up on this host. */
  readonly lastInstance: boolean;
  /** The share of an app's instances in which it is enforced, 1 to 100; it is monitored in the others. */
  readonly percent: number;
  readonly position: SourcePosition | undefined;
}

/** `positionOf` returns the place of an entry. */
export function responseSettings(
  { responses }: Pick<ParsedConfig, 'responses'>,
  positionOf: (index: number) => SourcePosition | undefined,
): readonly ResponseSetting[] {
  return responses.map(({ match, ...entry }, index) => ({
    match: given({
      ...match,
      priority: match.priority === undefined ? undefined : capitalized(match.priority),
    }),
    response: entry.do,
    mode: entry.mode,
    fallsBack: entry.fall_back !== false,
    guarantee: entry.guarantee ?? 'after the effect',
    refuses: entry.else === 'refuse',
    lastInstance: entry.last_instance === true,
    percent: entry.percent ?? 100,
    position: positionOf(index),
  }));
}
