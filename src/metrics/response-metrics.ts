import { Counter, type Registry } from 'prom-client';

/** What became of responses, asked at each scrape. */
export type ResponseSource = () => Iterable<{
  readonly name: string;
  readonly outcome: string;
  readonly count: number;
}>;

/** What was done about detections besides telling them. */
export function responseMetrics(registers: Registry[], source: ResponseSource): void {
  new Counter({
    name: 'varvel_responses_total',
    help: 'Responses to detections, by what became of them: done, too late, refused, monitored, limited, unanswered.',
    labelNames: ['response', 'outcome'],
    registers,
    collect() {
      this.reset();
      for (const { name, outcome, count } of source()) this.inc({ response: name, outcome }, count);
    },
  });
}
