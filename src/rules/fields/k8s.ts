import { future } from './field.ts';
import type { FieldClass } from './field.ts';

/** Deprecated in Falco in favour of a plugin: kept so that using them says so. */
const DEPRECATED = ['rc', 'svc', 'rs', 'deployment'].flatMap((kind) => [
  future(`k8s.${kind}.name`, 'CHARBUF', 'Deprecated.'),
  future(`k8s.${kind}.id`, 'CHARBUF', 'Deprecated.'),
  future(`k8s.${kind}.label`, 'CHARBUF', 'Deprecated.', 'required'),
  future(`k8s.${kind}.labels`, 'CHARBUF', 'Deprecated.'),
]);

export const K8S_CLASS: FieldClass = {
  name: 'k8s',
  description: 'The Kubernetes pod that the container is part of',
  fields: [
    future('k8s.pod.name', 'CHARBUF', "The pod's name."),
    future('k8s.pod.id', 'CHARBUF', "The pod's uid."),
    future('k8s.pod.uid', 'CHARBUF', "The pod's uid."),
    future('k8s.pod.sandbox_id', 'CHARBUF', 'First 12 characters of the sandbox id.'),
    future('k8s.pod.full_sandbox_id', 'CHARBUF', 'The sandbox id.'),
    future('k8s.pod.label', 'CHARBUF', "One of the pod's labels.", 'required'),
    future('k8s.pod.labels', 'CHARBUF', "All the pod's labels."),
    future('k8s.pod.ip', 'CHARBUF', "The pod's IPv4 address."),
    future('k8s.pod.cni.json', 'CHARBUF', "The network plugin's result."),
    future('k8s.ns.name', 'CHARBUF', 'The namespace.'),
    future('k8s.ns.id', 'CHARBUF', 'Deprecated.'),
    future('k8s.ns.label', 'CHARBUF', 'Deprecated.', 'required'),
    future('k8s.ns.labels', 'CHARBUF', 'Deprecated.'),
    ...DEPRECATED,
  ],
};
