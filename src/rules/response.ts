import type { Detection } from './detection.ts';

/** What may be done about a detection besides telling it. `kill`: the process in which it happened is ended. */
export const RESPONSES = ['kill'] as const;

export type ResponseName = (typeof RESPONSES)[number];

/** `too late`: the process had ended. `refused`: the host did not let the agent do it. */
export type ResponseOutcome = 'done' | 'too late' | 'refused';

const SAID: Readonly<Record<ResponseOutcome, string>> = {
  done: 'killed, after this had happened',
  'too late': 'not killed, it had ended by itself',
  refused: 'not killed, the host did not let the agent (it needs root or CAP_KILL)',
};

/** The detection with what was done about it: in its text, and as fields. */
export function withResponse(
  detection: Detection,
  response: ResponseName,
  outcome: ResponseOutcome,
): Detection {
  return {
    ...detection,
    output: `${detection.output} | process ${SAID[outcome]}`,
    outputFields: {
      ...detection.outputFields,
      'varvel.response': response,
      'varvel.response.outcome': outcome,
      // What such a response can promise: the system call had its effect.
      'varvel.response.guarantee': 'after the effect',
    },
  };
}
