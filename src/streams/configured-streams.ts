import type { Writable } from 'node:stream';
import type { AgentConfig } from '../config/config.ts';
import type { Logger } from '../shared/logger.ts';
import { ContainerLogStream } from './container/container-log-stream.ts';
import { AppFileStream } from './file/app-file-stream.ts';
import { OperatorFileStream } from './file/operator-file-stream.ts';
import { StdoutStream } from './stdout/stdout-stream.ts';
import type { LogStream } from './stream.ts';

/** The streams that the configuration turns on; the caller's to close. `output` is the stdout stream's. */
export function configuredStreams(
  config: AgentConfig,
  logger: Logger,
  output: Writable & { readonly isTTY?: boolean },
): LogStream[] {
  const { container, appFile, file, stdout } = config.streams;
  const streams: LogStream[] = [];
  if (container.enabled) {
    const execRoots = [config.runtimes.docker.execRoot];
    streams.push(new ContainerLogStream({ execRoots, format: container.format, logger }));
  }
  if (appFile.enabled) streams.push(new AppFileStream({ format: appFile.format, logger }));
  if (file.enabled && file.path !== undefined) {
    streams.push(new OperatorFileStream({ path: file.path, format: file.format, logger }));
  }
  if (stdout.enabled) streams.push(new StdoutStream({ output, format: stdout.format }));
  return streams;
}
