/** Why a question to a runtime had no answer. */
export class QuestionError extends Error {
  /** `unreachable`: no connection, or it broke. `slow`: no answer in time. `answer`: an error or an invalid answer. */
  readonly kind: 'unreachable' | 'slow' | 'answer';
  /** The system's error code, such as ENOENT; NO_CRI for a server without CRI v1. */
  readonly code: string | undefined;

  constructor(kind: QuestionError['kind'], message: string, code?: string) {
    super(message);
    this.kind = kind;
    this.code = code;
  }
}
