import type { DoneResponse } from '../responses/responder.ts';
import { RESPONSES } from '../responses/responses.ts';
import type { Detection } from '../rules/detection.ts';

/** The detection with what was done about it: in its text, and as fields. */
export function withResponse(
  detection: Detection,
  { name, outcome, guarantee }: DoneResponse,
): Detection {
  const { said } = RESPONSES[name];
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
