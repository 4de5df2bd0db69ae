import type { DoneResponse } from '../responses/responder.ts';
import { RESPONSES } from '../responses/responses.ts';
import type { Detection } from '../rules/detection.ts';

/** The detection with what was done about it: in its text, and as fields, where several are separated by commas. */
export function withResponses(detection: Detection, done: readonly DoneResponse[]): Detection {
  if (done.length === 0) return detection;
  const said = done.flatMap(({ name, outcome, denied, sparesLast }) => {
    if (sparesLast === true) return RESPONSES[name].saidOfLast ?? [];
    const { prevented, ...others } = RESPONSES[name].said;
    if (outcome !== 'prevented') return others[outcome] ?? [];
    return denied === undefined ? [] : (prevented?.[denied] ?? []);
  });
  const each = (of: (one: DoneResponse) => string): string => done.map(of).join(', ');
  return {
    ...detection,
    output: [detection.output, ...said].join(' | '),
    outputFields: {
      ...detection.outputFields,
      'varvel.response': each(({ name }) => name),
      'varvel.response.outcome': each(({ outcome }) => outcome),
      'varvel.response.guarantee': each(({ guarantee }) => guarantee),
    },
  };
}
