import type { HttpAddress } from '../../config/receiver-address.ts';
import type { Verdict } from '../http/answer.ts';
import type { ReceiverCounters } from '../receiver.ts';
import type { TlsFiles } from '../tls-files.ts';
import type { ExportRequest } from './api.ts';

/** What both transports need. */
export interface ExporterOptions {
  readonly address: HttpAddress;
  /** Undefined: nothing is encrypted. */
  readonly tls: TlsFiles | undefined;
  readonly serverName: string | undefined;
  /** Whether requests are compressed by gzip. */
  readonly compress: boolean;
  readonly timeoutMs: number;
  /** Of the next request: those configured, and the credentials in force. */
  readonly headers: () => Readonly<Record<string, string>>;
}

/** A transport of OTLP. */
export interface Exporter {
  /** Never rejects; resolves within `timeoutMs`. To be called again only when the call before has resolved. */
  export(request: ExportRequest): Promise<Verdict>;
  counters(): ReceiverCounters;
  /** Ends what is under way: it resolves. */
  close(): void;
}
