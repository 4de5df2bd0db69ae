import * as z from 'zod';

import { GUARANTEES, RESPONSE_NAMES } from '../shared/response-names.ts';
import { PRIORITY_EXPECTED, priorityName } from './priority-names.ts';
import { choice, text, value } from './value-types.ts';

const name = (of: string) => value(text(of).optional(), 'text', of);

const match = z
  .strictObject({
    rule: name('the name of a rule, or a part of it and *'),
    tag: name('a tag'),
    priority: value(priorityName.optional(), 'text', PRIORITY_EXPECTED),
    app: name('the name of an app'),
    space: name('the name of a space'),
    org: name('the name of an org'),
  })
  .refine((it) => it.rule !== undefined || it.tag !== undefined || it.priority !== undefined, {
    // A match with only an app would respond to every detection of that app.
    params: { needs: 'a rule, a tag or a priority, such as {rule: "Shell on a network*"}' },
  });

const entry = z
  .strictObject({
    match,
    do: value(z.enum(RESPONSE_NAMES), 'text', `one of ${RESPONSE_NAMES.join(', ')}`),
    mode: choice(['monitor', 'enforce'], 'monitor'),
    fall_back: value(z.boolean().optional(), 'boolean', 'true or false'),
    guarantee: value(z.enum(GUARANTEES).optional(), 'text', `one of ${GUARANTEES.join(', ')}`),
    else: value(z.enum(['report', 'refuse']).optional(), 'text', 'report or refuse'),
    last_instance: value(z.boolean().optional(), 'boolean', 'true or false'),
    percent: value(
      z.number().int().min(1).max(100).optional(),
      'number',
      'a whole number from 1 to 100: the share of an app’s instances',
    ),
  })
  .refine((it) => it.fall_back === undefined || it.do === 'deny', {
    params: { needs: '"do: deny" where it has "fall_back"' },
  })
  .refine((it) => it.guarantee === undefined || it.do === 'deny', {
    params: { needs: '"do: deny" where it has "guarantee"' },
  })
  .refine((it) => it.else === undefined || it.guarantee === 'before the effect', {
    params: { needs: '"guarantee: before the effect" where it has "else"' },
  })
  .refine((it) => it.last_instance === undefined || !['kill', 'deny'].includes(it.do), {
    params: { needs: '"do: isolate", "do: pause" or "do: restart" where it has "last_instance"' },
  })
  .refine((it) => it.percent === undefined || it.mode === 'enforce', {
    params: { needs: '"mode: enforce" where it has "percent"' },
  });

/** Responses to detections, set by the operator for any app. */
export const RESPONSES_SCHEMA = value(
  z.array(entry).max(256).default([]),
  'json',
  'a list of at most 256 entries, each with match and do',
  '[{"match": {"rule": "Shell on a network*"}, "do": "kill", "mode": "enforce"}]',
);
