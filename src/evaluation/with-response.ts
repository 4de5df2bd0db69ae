import type { ResponseOutcome } from '../responses/response.ts';
import { RESPONSES } from '../responses/responses.ts';
import type { Detection } from '../rules/detection.ts';
import type { ResponseName } from '../shared/response-names.ts';

/** The detection with what was done about it: in its text, and as fields. */
export function withResponse(
  detection: Detection,
  name: ResponseName,
  outcome: ResponseOutcome,
): Detection {
  const { said, guarantee } = RESPONSES[name];
  return {
    ...detection,
    output: `${detection.output} | process ${said[outcome]}`,
    outputFields: {
      ...detection.outputFields,
      'varvel.response': name,
      'varvel.response.outcome': outcome,
      'varvel.response.guarantee': guarantee,
    },
  };
}
