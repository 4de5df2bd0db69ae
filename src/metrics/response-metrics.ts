import { Counter, Gauge, type Registry } from 'prom-client';

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
    help: 'Responses to detections, by what became of them: prevented, done, too late, refused, monitored, limited, unanswered.',
    labelNames: ['response', 'outcome'],
    registers,
    collect() {
      this.reset();
      for (const { name, outcome, count } of source()) this.inc({ response: name, outcome }, count);
    },
  });
}

/** Lines of evidence, asked at each scrape. */
export type EvidenceSource = () => Readonly<Record<'written' | 'partly' | 'limited', number>>;

/** Evidence of detections that a response was applied to. */
export function evidenceMetrics(registers: Registry[], source: EvidenceSource): void {
  new Counter({
    name: 'varvel_evidence_total',
    help: 'Evidence of detections with a response: whole, partly (something was missing), limited (counted, not written).',
    labelNames: ['outcome'],
    registers,
    collect() {
      this.reset();
      const { written, partly, limited } = source();
      this.inc({ outcome: 'whole' }, written - partly);
      this.inc({ outcome: 'partly' }, partly);
      this.inc({ outcome: 'limited' }, limited);
    },
  });
}

/** The containers that are cut off from the network, asked at each scrape. */
export type IsolationSource = () => {
  readonly containers: readonly unknown[];
  readonly packetsDropped: number;
  readonly connectsRefused: number;
};

/** Containers that are cut off from the network, and what they tried. */
export function isolationMetrics(registers: Registry[], source: IsolationSource): void {
  new Gauge({
    name: 'varvel_isolated_containers',
    help: 'Containers that are cut off from the network by the response isolate.',
    registers,
    collect() {
      this.set(source().containers.length);
    },
  });
  new Counter({
    name: 'varvel_isolated_attempts_total',
    help: 'Attempts of isolated containers to reach the network: packets dropped, connects refused.',
    labelNames: ['what'],
    registers,
    collect() {
      this.reset();
      const { packetsDropped, connectsRefused } = source();
      this.inc({ what: 'packets' }, packetsDropped);
      this.inc({ what: 'connects' }, connectsRefused);
    },
  });
}

/** Containers that are paused; `source` is asked at each scrape. */
export function pauseMetrics(registers: Registry[], source: () => number): void {
  new Gauge({
    name: 'varvel_paused_containers',
    help: 'Containers that are paused by the response pause.',
    registers,
    collect() {
      this.set(source());
    },
  });
}

/** What takes responses back, asked at each scrape. */
export type TakenBackSource = () => {
  /** How often denial ended for an app that it seemed to harm. */
  readonly denialEnded: number;
  /** Lifts by the operator that are in force. */
  readonly lifts: number;
  /** Containers in which some files that rules name are known by path alone. */
  readonly partial: number;
};

/** Responses that are not enforced although the configuration says so. */
export function takenBackMetrics(registers: Registry[], source: TakenBackSource): void {
  new Counter({
    name: 'varvel_denial_ended_total',
    help: 'Apps to which nothing was denied any more, since that seemed to harm them.',
    registers,
    collect() {
      this.reset();
      this.inc(source().denialEnded);
    },
  });
  new Gauge({
    name: 'varvel_lifts',
    help: 'Lifts by the operator that are in force: responses that are not enforced.',
    registers,
    collect() {
      this.set(source().lifts);
    },
  });
  new Gauge({
    name: 'varvel_known_files_partial_containers',
    help: 'Containers in which rules that deny name more files than are known by their inodes: another name gets around them.',
    registers,
    collect() {
      this.set(source().partial);
    },
  });
}
