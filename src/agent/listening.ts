import { answerLift } from './lift-request.ts';
import { answerSuggest } from './suggest-request.ts';
import type { Stages } from './stages.ts';
import type { AgentConfig } from '../config/config.ts';
import { Endpoint } from '../metrics/endpoint.ts';
import type { Logger } from '../shared/logger.ts';
import type { ReleaseStack } from '../shared/release-stack.ts';

/** Opens the local endpoint and sends metrics to the platform, if configured. Throws UserError. */
export async function listen(
  stages: Pick<Stages, 'canary' | 'report' | 'responding' | 'evaluation' | 'profiles' | 'watched'>,
  config: AgentConfig,
  logger: Logger,
  release: ReleaseStack,
): Promise<void> {
  const { canary, report, responding } = stages;
  const endpoint = await Endpoint.open({
    listen: config.metrics.listen,
    metrics: report.metrics,
    status: () => report.snapshot(),
    canary: canary && (() => canary.run()),
    lift: (query) =>
      answerLift(query, responding, {
        rules: stages.evaluation.engine.ruleSet.rules,
        containers: stages.watched(),
      }),
    suggest: (query) =>
      answerSuggest(query, {
        profiles: stages.profiles,
        hostname: config.hostname,
        needs: stages.evaluation.needs,
      }),
    logger,
  });
  release.defer(() => endpoint.close());
  const { scrapeSocket } = config.metrics;
  if (scrapeSocket !== undefined) {
    const scraped = await Endpoint.open({
      listen: scrapeSocket,
      onlyMetrics: true,
      metrics: report.metrics,
      status: () => undefined,
      logger,
    });
    release.defer(() => scraped.close());
  }
  const { loggregator } = config.streams;
  if (!loggregator.enabled || !loggregator.metrics.enabled) return;
  // Loads gRPC only if it is used.
  const { MetricSender } = await import('../streams/loggregator/metric-sender.ts');
  const sender = new MetricSender({
    config: loggregator,
    hostname: config.hostname,
    logger,
    samples: () => report.metrics.samples(),
  });
  release.defer(() => sender.stop());
}
