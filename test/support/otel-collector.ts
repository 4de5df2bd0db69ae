// The decoder of an OpenTelemetry collector (its module pdata), out of a given checkout.
import { mkdirSync, symlinkSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { OtlpRequest } from './otlp-proto.ts';
import { decodeWith, whyNoDecoder, type PeerDecoder } from './peer-decoders.ts';
import { temporaryFolder } from './temporary-folder.ts';

const COLLECTOR: PeerDecoder = {
  variable: 'VARVEL_TEST_OTEL_COLLECTOR',
  program: 'otel-collector.go',
  prepare: (checkout) => {
    const folder = temporaryFolder('varvel-otel-collector-');
    const parent = join(folder, 'src/go.opentelemetry.io');
    mkdirSync(parent, { recursive: true });
    symlinkSync(resolve(checkout), join(parent, 'collector'));
    return folder;
  },
  needs: {
    'github.com/json-iterator/go': 'golang-github-json-iterator-go-dev',
    'github.com/hashicorp/go-version': 'golang-github-hashicorp-go-version-dev',
    'go.uber.org/multierr': 'golang-go.uber-multierr-dev',
  },
};

/** Why there is none here; undefined: there is one. */
export const whyNoCollector = (): string | undefined => whyNoDecoder(COLLECTOR);

/** The bodies of requests, in protobuf or in JSON, as the collector reads them. */
export function collectorReads(bodies: readonly (Buffer | string)[]): readonly OtlpRequest[] {
  const lines = bodies.map((body) =>
    JSON.stringify({
      json: typeof body === 'string',
      body: Buffer.from(body).toString('base64'),
    }),
  );
  return decodeWith(COLLECTOR, lines) as readonly OtlpRequest[];
}
