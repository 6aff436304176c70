/** What the connection to TWS remembers, and what of it ends with each session. */
import type { Farm, LossCause, UndecodableFrame } from './tws.ts';

export interface TwsContext {
  readonly host: string;
  readonly port: number;
  readonly clientId: number;
  readonly seed: number;
  /** state of the generator of jitter */
  readonly random: number;
  /** sessions begun since the start */
  readonly sessions: number;
  readonly sessionId: string | null;
  readonly accounts: readonly string[];
  readonly serverVersion: number | null;
  /** the order id that TWS granted to this session */
  readonly orderId: number | null;
  readonly farms: readonly Farm[];
  /** the newest word of each farm, whatever session it came with */
  readonly farmsTold: readonly Farm[];
  /** attempts that failed in a row */
  readonly failures: number;
  readonly retryInMs: number;
  readonly lastCause: LossCause | null;
  readonly lastMessage: string;
  /** when the last heartbeat was answered, ms */
  readonly answeredAt: number;
  /** newest time known, ms */
  readonly at: number;
  /** ms; null while there is no ready session */
  readonly readySince: number | null;
  /** ms; null before the first attempt and while a session is ready */
  readonly downSince: number | null;
  /** a person was called, ms since when there is no session; null otherwise */
  readonly absentSince: number | null;
  readonly absencePatienceMs: number;
  /** ms; null while the link from the gateway to IB is up */
  readonly severedSince: number | null;
  /** TWS complained in this session about too many messages */
  readonly limited: boolean;
  readonly rttMs: number | null;
  readonly undecodable: readonly UndecodableFrame[];
  readonly undecodableCount: number;
}

/** What is lost with every session: nothing of it may be believed in the next one. */
export const noSession = {
  accounts: [],
  serverVersion: null,
  orderId: null,
  farms: [],
  severedSince: null,
  limited: false,
  rttMs: null,
} as const;
