import { fromJSON } from '@grpc/proto-loader';
import type { CriMethods } from './cri-api.ts';

const labels = (id: number) => ({ keyType: 'string', type: 'string', id }) as const;
const repeated = (type: string, id: number) => ({ rule: 'repeated', type, id }) as const;

/**
 * What we use of the Container Runtime Interface, as protobufjs writes a .proto file in JSON: messages, fields and their
 * numbers are those of Kubernetes (cri-api, runtime/v1/api.proto). What we do not read is left out.
 */
const API = {
  nested: {
    runtime: {
      nested: {
        v1: {
          nested: {
            VersionRequest: { fields: {} },
            VersionResponse: {
              fields: {
                runtimeName: { type: 'string', id: 2 },
                runtimeVersion: { type: 'string', id: 3 },
              },
            },
            ContainerFilter: { fields: { id: { type: 'string', id: 1 } } },
            PodSandboxFilter: { fields: { id: { type: 'string', id: 1 } } },
            ListContainersRequest: { fields: { filter: { type: 'ContainerFilter', id: 1 } } },
            ListContainersResponse: { fields: { containers: repeated('Container', 1) } },
            ListPodSandboxRequest: { fields: { filter: { type: 'PodSandboxFilter', id: 1 } } },
            ListPodSandboxResponse: { fields: { items: repeated('PodSandbox', 1) } },
            ContainerMetadata: { fields: { name: { type: 'string', id: 1 } } },
            ImageSpec: {
              fields: {
                image: { type: 'string', id: 1 },
                userSpecifiedImage: { type: 'string', id: 18 },
              },
            },
            Container: {
              fields: {
                id: { type: 'string', id: 1 },
                podSandboxId: { type: 'string', id: 2 },
                metadata: { type: 'ContainerMetadata', id: 3 },
                image: { type: 'ImageSpec', id: 4 },
                imageRef: { type: 'string', id: 5 },
                state: { type: 'int32', id: 6 },
                labels: labels(8),
                imageId: { type: 'string', id: 10 },
              },
            },
            PodSandboxMetadata: {
              fields: {
                name: { type: 'string', id: 1 },
                uid: { type: 'string', id: 2 },
                namespace: { type: 'string', id: 3 },
              },
            },
            PodSandbox: {
              fields: {
                id: { type: 'string', id: 1 },
                metadata: { type: 'PodSandboxMetadata', id: 2 },
                labels: labels(5),
                annotations: labels(6),
              },
            },
            ContainerStatusRequest: {
              fields: {
                containerId: { type: 'string', id: 1 },
                verbose: { type: 'bool', id: 2 },
              },
            },
            ContainerStatusResponse: {
              fields: { status: { type: 'ContainerStatus', id: 1 }, info: labels(2) },
            },
            Mount: {
              fields: {
                containerPath: { type: 'string', id: 1 },
                hostPath: { type: 'string', id: 2 },
                readonly: { type: 'bool', id: 3 },
                propagation: { type: 'int32', id: 5 },
              },
            },
            ContainerStatus: {
              fields: {
                id: { type: 'string', id: 1 },
                state: { type: 'int32', id: 3 },
                startedAt: { type: 'int64', id: 5 },
                image: { type: 'ImageSpec', id: 8 },
                mounts: repeated('Mount', 14),
              },
            },
            PodSandboxStatusRequest: { fields: { podSandboxId: { type: 'string', id: 1 } } },
            PodSandboxStatusResponse: { fields: { status: { type: 'PodSandboxStatus', id: 1 } } },
            PodSandboxNetworkStatus: { fields: { ip: { type: 'string', id: 1 } } },
            NamespaceOption: {
              fields: {
                network: { type: 'int32', id: 1 },
                pid: { type: 'int32', id: 2 },
                ipc: { type: 'int32', id: 3 },
              },
            },
            Namespace: { fields: { options: { type: 'NamespaceOption', id: 2 } } },
            LinuxPodSandboxStatus: { fields: { namespaces: { type: 'Namespace', id: 1 } } },
            PodSandboxStatus: {
              fields: {
                id: { type: 'string', id: 1 },
                network: { type: 'PodSandboxNetworkStatus', id: 5 },
                linux: { type: 'LinuxPodSandboxStatus', id: 6 },
              },
            },
            RuntimeService: {
              methods: {
                Version: { requestType: 'VersionRequest', responseType: 'VersionResponse' },
                ListContainers: {
                  requestType: 'ListContainersRequest',
                  responseType: 'ListContainersResponse',
                },
                ListPodSandbox: {
                  requestType: 'ListPodSandboxRequest',
                  responseType: 'ListPodSandboxResponse',
                },
                ContainerStatus: {
                  requestType: 'ContainerStatusRequest',
                  responseType: 'ContainerStatusResponse',
                },
                PodSandboxStatus: {
                  requestType: 'PodSandboxStatusRequest',
                  responseType: 'PodSandboxStatusResponse',
                },
              },
            },
          },
        },
      },
    },
  },
};

interface Method<Name extends keyof CriMethods> {
  readonly path: string;
  readonly requestSerialize: (request: CriMethods[Name][0]) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => CriMethods[Name][1];
}

/** The service's methods: paths and encodings. Absent fields are read as the protocol says (empty, 0, null). */
export const RUNTIME_SERVICE = fromJSON(API as unknown as Parameters<typeof fromJSON>[0], {
  longs: String,
  defaults: true,
})['runtime.v1.RuntimeService'] as unknown as {
  readonly [Name in keyof CriMethods]: Method<Name>;
};
