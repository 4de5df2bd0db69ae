/** Why a question to a runtime had no answer. */
export class QuestionError extends Error {
  /** `unreachable`: nobody took the question. `slow`: no answer in time. `answer`: one that makes no sense. */
  readonly kind: 'unreachable' | 'slow' | 'answer';
  /** Of `unreachable`: the system's code, such as ENOENT. */
  readonly code: string | undefined;

  constructor(kind: QuestionError['kind'], message: string, code?: string) {
    super(message);
    this.kind = kind;
    this.code = code;
  }
}
