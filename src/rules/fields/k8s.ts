import { SANDBOX_LABEL } from '../../apps/labels.ts';
import { absent, field, fieldWithReader, future } from './field.ts';
import type { FieldClass, FieldDefinition, View } from './field.ts';

/** The labels that the kubelet gives every container, by way of the runtime. */
const POD_NAME = 'io.kubernetes.pod.name';
const POD_NAMESPACE = 'io.kubernetes.pod.namespace';
const POD_UID = 'io.kubernetes.pod.uid';
/** As of container ids. */
const SHORT_ID = 12;

const label =
  (name: string) =>
  (view: View): string | undefined => {
    const labels = view.container?.labels;
    return labels !== undefined && Object.hasOwn(labels, name) ? labels[name] : undefined;
  };

function podLabel({ container }: View, name: string): string | undefined {
  const labels = container?.podLabels;
  return labels !== undefined && Object.hasOwn(labels, name) ? labels[name] : undefined;
}

const DEPRECATED = 'Deprecated: always absent.';

/** Fields that Falco keeps for old rules and leaves empty. */
function former(kind: string, keys: readonly string[]): FieldDefinition[] {
  return keys.map((key) =>
    absent(`k8s.${kind}.${key}`, 'CHARBUF', DEPRECATED, {
      deprecated: true,
      ...(key === 'label' ? { argument: 'optional', dotArgument: true } : {}),
    }),
  );
}

const ALL_KEYS = ['name', 'id', 'label', 'labels'];

export const K8S_CLASS: FieldClass = {
  name: 'k8s',
  description: 'The Kubernetes pod of the container, by its labels',
  fields: [
    field('k8s.pod.name', 'CHARBUF', "The pod's name.", label(POD_NAME)),
    field('k8s.pod.uid', 'CHARBUF', "The pod's uid.", label(POD_UID)),
    field('k8s.pod.id', 'CHARBUF', "The pod's uid too, by its former name.", label(POD_UID)),
    field('k8s.ns.name', 'CHARBUF', 'The namespace.', label(POD_NAMESPACE)),
    field('k8s.pod.sandbox_id', 'CHARBUF', 'First 12 characters of the sandbox id.', (v) => {
      return label(SANDBOX_LABEL)(v)?.slice(0, SHORT_ID);
    }),
    field('k8s.pod.full_sandbox_id', 'CHARBUF', 'The sandbox id.', label(SANDBOX_LABEL)),
    fieldWithReader(
      'k8s.pod.label',
      'CHARBUF',
      "One of the pod's labels: k8s.pod.label[app].",
      (name = '') => ({ shape: 'single', read: (v) => podLabel(v, name) }),
      { argument: 'required', dotArgument: true },
    ),
    field('k8s.pod.labels', 'CHARBUF', "All the pod's labels: 'app:shop,tier:web'.", (v) => {
      const { podLabels } = v.container ?? {};
      return (
        podLabels &&
        Object.entries(podLabels)
          .map((one) => one.join(':'))
          .join(',')
      );
    }),
    field('k8s.pod.ip', 'CHARBUF', "The pod's IPv4 address.", (v) => {
      return v.container?.runtime === 'cri' ? v.container.details?.ip : undefined;
    }),
    future('k8s.pod.cni.json', 'CHARBUF', "The network plugin's result."),
    ...former('ns', ['id', 'label', 'labels']),
    ...['rc', 'svc', 'rs', 'deployment'].flatMap((kind) => former(kind, ALL_KEYS)),
  ],
};
