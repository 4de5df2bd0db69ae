import type { AlertPlatform } from './alert-request.ts';
import { azure } from './azure.ts';
import { cloudwatch } from './cloudwatch.ts';
import { datadog } from './datadog.ts';
import { elasticsearch } from './elasticsearch.ts';
import { loki } from './loki.ts';
import { opensearch } from './opensearch.ts';
import { papertrail } from './papertrail.ts';
import { prometheus } from './prometheus.ts';
import { rsyslog } from './rsyslog.ts';
import { splunk } from './splunk.ts';

/** Every log platform, by name. */
export const PLATFORMS: readonly AlertPlatform[] = [
  azure,
  cloudwatch,
  datadog,
  elasticsearch,
  loki,
  opensearch,
  papertrail,
  prometheus,
  rsyslog,
  splunk,
];
