import type { AppIdentity, Container } from '../identity.ts';
import { boundedLabels, isPlainText, MAX_LABEL_CHARS } from '../labels.ts';
import { GARDEN_TAG } from '../opt-in.ts';
import { isRecord } from './garden-answers.ts';

/** The platform's properties of a container: names are Diego's and Garden's own. */
const LOG_CONFIG = 'log_config';
const NETWORK = {
  app: 'network.app_id',
  space: 'network.space_id',
  org: 'network.org_id',
  workload: 'network.container_workload',
} as const;
/** The source name of staging's logs. */
const STAGING_SOURCE = 'STG';
/** Garden sets it last, when all other properties are there. */
const STATE = 'garden.state';

/** A longer `log_config` is not read; Diego's are some 1 KiB, and grow with the app's labels. */
const MAX_LOG_CONFIG_CHARS = 64 * 1024;
/** Limit on tags: they become a part of every line for the platform's log system. */
const MAX_TAGS = 64;

/** The platform's own tags and the opt-in tag. They come first, so that no others displace them. */
const FIRST_TAGS = [
  GARDEN_TAG,
  'app_id',
  'app_name',
  'space_id',
  'space_name',
  'organization_id',
  'organization_name',
  'process_id',
  'process_type',
  'process_instance_id',
  'instance_id',
  'source_id',
];

/** Facts that the platform states twice. Both must agree, or a line may reach another tenant's log. */
const SAID_TWICE = [
  ['app_id', NETWORK.app],
  ['space_id', NETWORK.space],
  ['organization_id', NETWORK.org],
] as const;

/** What a container's properties say of it. */
export interface GardenIdentity {
  readonly container: Container;
  /** Garden has not set all of them yet: it makes the cgroup first, then the properties one by one. */
  readonly unfinished: boolean;
  /** False for a complete container of the platform's own, such as those with which Diego's executor checks Garden. */
  readonly isOfApp: boolean;
}

/**
 * A container from its properties. Its app is known only when `log_config` and `network.*`, which both are the
 * platform's and out of reach for the app, name the same one; otherwise `app` is undefined and `doubt` says why.
 * Never throws, whatever the values are.
 */
export function containerFromProperties(
  handle: string,
  properties: Readonly<Record<string, unknown>>,
): GardenIdentity {
  const log = parseLogConfig(properties[LOG_CONFIG]);
  const named = log.problem ?? appOf(properties, log);
  const workload = plain(properties[NETWORK.workload]);
  // What the platform says of the workload comes last: no tag of that name replaces it.
  const labels = boundedLabels({
    ...log.tags,
    ...(workload === undefined ? {} : { [NETWORK.workload]: workload }),
  });
  const missing = [LOG_CONFIG, ...Object.values(NETWORK)].some(
    (name) => properties[name] === undefined,
  );
  return {
    container: {
      ...bare(handle),
      labels,
      ...(typeof named === 'string' ? { app: undefined, doubt: named } : { app: named }),
    },
    unfinished: missing && properties[STATE] !== 'created',
    isOfApp:
      properties[STATE] !== 'created' ||
      properties[LOG_CONFIG] !== undefined ||
      properties[NETWORK.app] !== undefined,
  };
}

function bare(handle: string): Container {
  return {
    fullId: handle,
    id: handle,
    name: handle,
    runtime: 'garden',
    image: undefined,
    imageRepository: undefined,
    imageTag: undefined,
    imageId: undefined,
    imageDigest: undefined,
    labels: boundedLabels({}),
    // Garden does not report these.
    privileged: undefined,
    tty: undefined,
    initPid: 0,
    startedAtMs: undefined,
    app: undefined,
    details: undefined,
    logFile: undefined,
  };
}

interface LogConfig {
  readonly guid: string | undefined;
  readonly instance: string | undefined;
  /** Which of the app's logs: `APP/PROC/WEB`, `APP/TASK/name`, `STG`. */
  readonly source: string | undefined;
  readonly tags: Readonly<Record<string, string>>;
  /** A sentence; if set, the other values must not be used for an identity. */
  readonly problem: string | undefined;
}

function parseLogConfig(text: unknown): LogConfig {
  const unusable = (problem: string): LogConfig => ({
    guid: undefined,
    instance: undefined,
    source: undefined,
    tags: boundedLabels({}),
    problem,
  });
  if (text === undefined) return unusable(`The platform set no ${LOG_CONFIG}.`);
  if (typeof text !== 'string' || text.length > MAX_LOG_CONFIG_CHARS)
    return unusable(`Its ${LOG_CONFIG} is no text of at most ${MAX_LOG_CONFIG_CHARS} characters.`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return unusable(`Its ${LOG_CONFIG} is no JSON.`);
  }
  if (!isRecord(value)) return unusable(`Its ${LOG_CONFIG} is no JSON object.`);
  const { guid, index, tags, source_name: source } = value;
  return {
    guid: plain(guid),
    instance: instanceOf(index),
    source: plain(source),
    tags: boundedTags(tags),
    problem: plain(guid) === undefined ? `Its ${LOG_CONFIG} has no usable guid.` : undefined,
  };
}

/** The app, or a sentence why there is none. */
function appOf(
  properties: Readonly<Record<string, unknown>>,
  { guid, instance, tags, source }: LogConfig,
): AppIdentity | string {
  const appId = plain(properties[NETWORK.app]);
  if (appId === undefined) return `The platform set no usable ${NETWORK.app}.`;
  if (guid !== appId)
    return `Its ${LOG_CONFIG} says that it is the app ${guid ?? ''}, its ${NETWORK.app} says ${appId}.`;
  for (const [tag, property] of SAID_TWICE) {
    const said = tags[tag];
    const meant = properties[property];
    if (said !== undefined && meant !== undefined && said !== meant)
      return `Its tag ${tag} says ${shown(said)}, its ${property} says ${shown(meant)}.`;
  }
  const workload = plain(properties[NETWORK.workload]);
  // Older cells have no workload. Of an app's instances the source name begins with APP, whatever their process type is.
  const isStaging = workload === undefined ? source === STAGING_SOURCE : workload === 'staging';
  const special = isStaging ? 'staging' : workload === 'task' ? 'task' : undefined;
  return {
    name: plain(tags['app_name']) ?? appId,
    guid: appId,
    space: plain(tags['space_name']) ?? plain(properties[NETWORK.space]),
    org: plain(tags['organization_name']) ?? plain(properties[NETWORK.org]),
    // A task has no process type: its workload stands in.
    processType: special ?? plain(tags['process_type']),
    instance,
    ...(special === undefined ? {} : { workload: special }),
    tags,
  };
}

/** The instance as text, as the log system has it; `index` may be a number or text. */
function instanceOf(index: unknown): string | undefined {
  if (typeof index === 'number')
    return Number.isSafeInteger(index) && index >= 0 ? String(index) : undefined;
  return plain(index);
}

function boundedTags(raw: unknown): Readonly<Record<string, string>> {
  // Without a prototype: a tag may be named `__proto__`.
  const tags = Object.create(null) as Record<string, string>;
  if (!isRecord(raw)) return Object.freeze(tags);
  let count = 0;
  for (const name of new Set([...FIRST_TAGS, ...Object.keys(raw)])) {
    const value = Object.hasOwn(raw, name) ? plain(raw[name]) : undefined;
    if (value === undefined || !isPlainText(name)) continue;
    if (++count > MAX_TAGS) break;
    tags[name] = value;
  }
  return Object.freeze(tags);
}

function plain(value: unknown): string | undefined {
  return typeof value === 'string' && isPlainText(value) ? value : undefined;
}

function shown(value: unknown): string {
  return typeof value === 'string' ? value.slice(0, MAX_LABEL_CHARS) : 'something else';
}
