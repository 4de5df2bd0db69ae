import type { OutputValue } from '../rules/detection.ts';
import { escapeAscii, escapeJson } from './escape.ts';
import { appEntries, formatJson, type OutputForm } from './format-json.ts';
import { lineageWords } from './lineage.ts';
import { clockTime } from './time.ts';
import type { Delivery } from './stream.ts';

/** Labels by which the kubelet says whose pod it is: what Falco Talon acts on. */
const POD_FIELDS = [
  ['k8s.ns.name', 'io.kubernetes.pod.namespace'],
  ['k8s.pod.name', 'io.kubernetes.pod.name'],
] as const;

/** Nine digits, by which Talon and the UI know what to cut off; and ASCII only: the UI refuses an event with anything else. */
const FORM: OutputForm = {
  clock: clockTime,
  encode: (text) => escapeJson(escapeAscii(text)),
};

/**
 * The line as Falcosidekick, Falcosidekick UI and Falco Talon read all of it: they drop keys that Falco has not. So `output_fields`
 * says too what these keys say, as `app.*` and `varvel.*`, and in Kubernetes which pod it is. `output` is in ASCII.
 */
export function formatFalcoJson(delivery: Delivery, maxBytes: number): string {
  const { detection } = delivery;
  const outputFields = { ...ownFields(delivery), ...detection.outputFields };
  return formatJson({ ...delivery, detection: { ...detection, outputFields } }, maxBytes, FORM);
}

/** First in a line, so that what is cut are other fields. */
function ownFields({ detection, id, seq }: Delivery): Readonly<Record<string, OutputValue>> {
  const { container, incident, lineage } = detection;
  const labels = container?.runtime === 'cri' ? container.labels : {};
  const known: readonly (readonly [name: string, value: OutputValue | undefined])[] = [
    ...appEntries(container).map(([key, value]) => [`app.${key}`, value] as const),
    ...POD_FIELDS.map(([name, label]) => [name, labels[label]] as const),
    ['varvel.incident', incident],
    ['varvel.lineage', lineage && lineageWords(lineage)],
    ['varvel.id', id],
    ['varvel.seq', seq],
  ];
  return Object.fromEntries(
    known.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
}
