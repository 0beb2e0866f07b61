export interface DawnlistOptions {
  /** The address of the collector, such as https://collector.example. */
  endpoint: string;
  /** A publishable key, which is bound to this page's origin. */
  key?: string;
  /** The user who is logged in. */
  user?: string;
  /** false: people are not recognised; the collector gives them an id for a day. */
  consent?: boolean;
  /** Events of one request; default 50. */
  batchSize?: number;
  /** How long an event waits for others, in milliseconds; default 2000. */
  flushMs?: number;
  storage?: Storage;
}

export interface EventFields {
  item?: string | number;
  placement?: string;
  recommendation?: string;
  position?: number;
  mood?: string;
  quantity?: number;
  rating?: number;
  page?: string;
  session?: string;
  properties?: Record<string, unknown>;
}

export class DawnlistClient {
  constructor(options: DawnlistOptions);
  track(type: string, fields?: EventFields): string;
  identify(user: string): void;
  reset(): void;
  watchImpressions(root: ParentNode): () => void;
  flush(): Promise<void>;
}
