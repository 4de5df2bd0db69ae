import { join } from 'node:path';
import type { Writable } from 'node:stream';
import type { AgentConfig } from '../config/config.ts';
import type { Logger } from '../shared/logger.ts';
import type { StateTroubles } from '../shared/state-troubles.ts';
import { ContainerLogStream } from './container/container-log-stream.ts';
import { AppFileStream } from './file/app-file-stream.ts';
import { OperatorFileStream } from './file/operator-file-stream.ts';
import { StdoutStream } from './stdout/stdout-stream.ts';
import { httpReceiver } from './http/http-receiver.ts';
import type { OutgoingLine, Receiver } from './receiver.ts';
import { Spool } from './spool/spool.ts';
import type { SpoolOptions } from './spool/spool-types.ts';
import { SpooledStream, type SpooledStreamOptions } from './spool/spooled-stream.ts';
import type { LogStream } from './stream.ts';
import { syslogReceiver } from './syslog/syslog-receiver.ts';

interface SpooledReceiver {
  readonly receiver: Receiver;
  readonly options: Pick<SpooledStreamOptions, 'format' | 'linesPerSecond'> &
    Pick<SpoolOptions, 'onUrlChange'>;
}

/**
 * The streams that the configuration turns on. `prepare` checks the settings, also while another agent runs. `open` opens the
 * streams, which only one agent at a time can do.
 */
export class ConfiguredStreams {
  readonly #config: AgentConfig;
  readonly #logger: Logger;
  readonly #direct: LogStream[] = [];
  readonly #spooled: SpooledReceiver[] = [];

  /** `output` is the stdout stream's. Throws UserError. */
  static async prepare(
    config: AgentConfig,
    logger: Logger,
    output: Writable & { readonly isTTY?: boolean },
  ): Promise<ConfiguredStreams> {
    const streams = new ConfiguredStreams(config, logger);
    try {
      await streams.#prepare(output);
      return streams;
    } catch (error) {
      await streams.close();
      throw error;
    }
  }

  private constructor(config: AgentConfig, logger: Logger) {
    this.#config = config;
    this.#logger = logger;
  }

  /**
   * Opens the streams; the caller closes them. Throws UserError for a spool that cannot be used; a disk that accepts no writes
   * is reported to `troubles` instead. Calls `onTaken` for each line that a remote receiver has taken.
   */
  open(
    troubles: StateTroubles,
    onTaken?: (stream: string, line: OutgoingLine) => void,
  ): LogStream[] {
    const streams = this.#direct.splice(0);
    for (let next = this.#spooled.shift(); next !== undefined; next = this.#spooled.shift()) {
      const { receiver } = next;
      const { onUrlChange, ...options } = next.options;
      const part = `lines that wait for the ${receiver.name} stream's receiver`;
      try {
        const spool = {
          folder: this.#folderOf(receiver),
          maxBytes: this.#config.spoolMaxBytes,
          onUrlChange,
          logger: this.#logger,
          onTrouble: (error: unknown) => {
            if (error === undefined) troubles.end(part);
            else
              troubles.begin(
                part,
                error,
                'They wait in memory, at most 8 MiB of them, and are lost when the agent ends.',
              );
          },
        };
        const told = onTaken && ((line: OutgoingLine) => onTaken(receiver.name, line));
        streams.push(
          new SpooledStream({ receiver, spool, logger: this.#logger, onTaken: told, ...options }),
        );
      } catch (error) {
        this.#spooled.push(next);
        this.#direct.push(...streams);
        throw error;
      }
    }
    return streams;
  }

  /** What was not opened. */
  async close(): Promise<void> {
    const streams = this.#direct.splice(0);
    const receivers = this.#spooled.splice(0).map(({ receiver }) => receiver);
    await Promise.all([...streams, ...receivers].map((one) => one.close()));
  }

  async #prepare(output: Writable & { readonly isTTY?: boolean }): Promise<void> {
    const logger = this.#logger;
    const { container, appFile, file, stdout } = this.#config.streams;
    if (container.enabled) {
      const { docker, cri } = this.#config.runtimes;
      const where = { execRoots: [docker.execRoot], criStateDir: cri.stateDir };
      const { format } = container;
      this.#direct.push(new ContainerLogStream({ ...where, format, logger }));
    }
    if (appFile.enabled) this.#direct.push(new AppFileStream({ format: appFile.format, logger }));
    if (file.enabled && file.path !== undefined) {
      const stream = new OperatorFileStream({ path: file.path, format: file.format, logger });
      this.#direct.push(stream);
      await stream.verify();
    }
    if (stdout.enabled) this.#direct.push(new StdoutStream({ output, format: stdout.format }));
    const { loggregator, syslog, http, otlp } = this.#config.streams;
    if (loggregator.enabled) {
      // gRPC is for those who use it: it takes a tenth of a second and several MB.
      const { loggregatorReceiver } = await import('./loggregator/loggregator-receiver.ts');
      const { format, linesPerSecond } = loggregator;
      this.#add(loggregatorReceiver(loggregator, logger), { format, linesPerSecond });
    }
    if (syslog.enabled) {
      const { format, onUrlChange } = syslog;
      this.#add(syslogReceiver(syslog, logger), { format, onUrlChange });
    }
    if (http.enabled) {
      const { format, onUrlChange } = http;
      this.#add(httpReceiver(http, logger), { format, onUrlChange });
    }
    if (otlp.enabled) {
      // So is what encodes its messages.
      const { otlpReceiver } = await import('./otlp/otlp-receiver.ts');
      const { onUrlChange } = otlp;
      this.#add(await otlpReceiver(otlp, logger), { format: 'json', onUrlChange });
    }
  }

  #add(receiver: Receiver, options: SpooledReceiver['options']): void {
    this.#spooled.push({ receiver, options });
    Spool.verify(this.#folderOf(receiver));
  }

  #folderOf({ name }: Receiver): string {
    return join(this.#config.stateDir, 'spool', name);
  }
}
