/** What is, at the moment of a scrape: read from the running tree and its parts, kept nowhere. Labels come from closed lists. */
import { Counter, Gauge } from 'prom-client';
import { discrepancyCodes } from '../machines/discrepancy.ts';
import { componentNames, type HealthReport } from '../machines/health.ts';
import { supervision } from '../machines/supervision.ts';
import type { Metrics } from './metrics.ts';
import type { Runtime } from './runtime.ts';

export interface StandingSources {
  readonly runtime: Runtime;
  readonly report: () => HealthReport;
  readonly clients: () => {
    readonly sentFrames: number;
    readonly sentBytes: number;
    readonly unsentBytes: number;
  };
  /** ms since the epoch */
  readonly now: () => number;
}

type Labels = Readonly<Record<string, string>>;
type Samples = Iterable<readonly [Labels, number]>;

const statusValues = { pass: 0, warn: 1, fail: 2 } as const;
const links = ['whole', 'impaired', 'severed', 'maintenance', 'down'] as const;
const tradingStates = ['open', 'reducing', 'halted'] as const;
const farmKinds = ['market', 'history', 'secdef'] as const;
const farmStatuses = ['ok', 'broken', 'inactive'] as const;

/** Adds everything to the registry of `metrics`. */
export function addStanding({ registry }: Pick<Metrics, 'registry'>, sources: StandingSources): void {
  const { runtime, report, clients, now } = sources;
  const root = () => runtime.root.getSnapshot();
  const tws = () => runtime.child('tws').getSnapshot();
  // A renewal is known to the actor alone; one that has failed at its birth has no context.
  const leases = () => root().children.withdrawal?.getSnapshot().context?.leases ?? [];
  const registers = [registry];

  const gauge = (name: string, help: string, labelNames: readonly string[], read: () => Samples): void => {
    new Gauge({
      name: `tws_runtime_${name}`,
      help,
      labelNames: [...labelNames],
      registers,
      collect() {
        this.reset();
        for (const [labels, value] of read()) this.set(labels, value);
      },
    });
  };
  /** Of something that its owner counts since the start. */
  const total = (name: string, help: string, labelNames: readonly string[], read: () => Samples): void => {
    new Counter({
      name: `tws_runtime_${name}_total`,
      help,
      labelNames: [...labelNames],
      registers,
      collect() {
        this.reset();
        for (const [labels, value] of read()) this.inc(labels, Math.max(0, value));
      },
    });
  };
  const one = (value: number): Samples => [[{}, value]];
  const oneOf = <Value extends string>(label: string, values: readonly Value[], held: Value): Samples =>
    values.map((value) => [{ [label]: value }, value === held ? 1 : 0]);

  gauge('health_status', 'Status of each part: 0 pass, 1 warn, 2 fail', ['component'], () => {
    const { components } = report();
    return componentNames.map((component) => [
      { component },
      statusValues[components[component]?.status ?? 'fail'],
    ]);
  });
  gauge('health_gate', 'Whether each gate is open: live, started, ready, trading', ['gate'], () =>
    Object.entries(report().gates).map(([gate, isOpen]) => [{ gate }, isOpen ? 1 : 0]),
  );
  gauge(
    'reconciled',
    "Whether the broker's lists of this session were compared: orders wait for it",
    [],
    () => one(report().components.reconciliation?.progress === 'complete' ? 1 : 0),
  );
  gauge('link', 'The link to IB: 1 for the state that it is in', ['state'], () =>
    oneOf('state', links, link()),
  );
  gauge('farms', 'Data farms of IB that the session has heard of', ['kind', 'status'], () => {
    const { farms } = tws().context;
    return farmKinds.flatMap((kind) =>
      farmStatuses.map(
        (status) =>
          [
            { kind, status },
            farms.filter((farm) => farm.kind === kind && farm.status === status).length,
          ] as const,
      ),
    );
  });
  gauge('trading_state', 'What the gate lets through: 1 for the state that it is in', ['state'], () =>
    oneOf('state', tradingStates, root().context.latched.state),
  );
  gauge('heartbeat_round_trip_seconds', 'Of the newest heartbeat of the session', [], () => {
    const { rttMs } = tws().context;
    return rttMs === null ? [] : one(rttMs / 1_000);
  });
  gauge('orders_open', 'Orders that are not closed', [], () => one(figure('orders', 'open')));
  gauge('orders_in_doubt', 'Orders that were written and whose outcome is unknown', [], () =>
    one(figure('orders', 'inDoubt')),
  );
  gauge(
    'discrepancies_open',
    "Differences from the broker's books that nobody has explained",
    ['code'],
    () => {
      const { open } = runtime.child('audit').getSnapshot().context.book;
      return discrepancyCodes.map((code) => [{ code }, open.filter((each) => each.code === code).length]);
    },
  );
  gauge('leases', 'Clients whose orders are bound to their life', [], () => one(leases().length));
  gauge('lease_remaining_seconds', 'Until the first lease lapses unless it is renewed', [], () => {
    const ends = leases().map(({ expiresAt }) => expiresAt);
    return ends.length === 0 ? [] : one(Math.max(0, Math.min(...ends) - now()) / 1_000);
  });
  gauge('withdrawals_owed', 'Orders that must go and have not closed yet', [], () =>
    one(root().context.withdrawalStanding.owed.length),
  );
  gauge('journal_facts', 'Facts in the journal', [], () => one(runtime.journal.lastSeq()));
  gauge('event_loop_stall_seconds', 'How long the event loop stood still in the last second', [], () =>
    one(figure('eventLoop', 'stallMs') / 1_000),
  );
  gauge('pacing_waiting', 'Messages for TWS that wait for their turn', ['lane'], () =>
    Object.entries(runtime.gateway.figures().lanes).map(([lane, { waiting }]) => [{ lane }, waiting]),
  );
  gauge('gateway_unsent_bytes', 'Bytes that TWS has not taken yet', [], () =>
    one(runtime.gateway.figures().unsentBytes),
  );
  gauge('stream_unsent_bytes', 'Bytes that clients of the stream have not taken yet', [], () =>
    one(clients().unsentBytes),
  );

  total('child_restarts', 'Children of the supervisor that were started again', ['child'], () => {
    const { restarts } = root().context;
    return Object.keys(supervision).map((child) => [
      { child },
      restarts[child as keyof typeof supervision] ?? 0,
    ]);
  });
  total('undecodable_frames', 'Messages of TWS that could not be decoded', [], () =>
    one(runtime.gateway.figures().undecodable),
  );
  total('unknown_codes', 'Messages of TWS whose code is not in the table', [], () =>
    one(runtime.gateway.figures().unknownCodes),
  );
  total('sessions', 'Sessions with TWS that were begun', [], () => one(runtime.gateway.figures().sessions));
  total('stream_sent_frames', 'Frames sent to clients of the stream', [], () => one(clients().sentFrames));
  total('stream_sent_bytes', 'Bytes sent to clients of the stream', [], () => one(clients().sentBytes));

  function link(): (typeof links)[number] {
    const snapshot = tws();
    if (snapshot.context.absentSince !== null) return 'down';
    if (snapshot.hasTag('maintenance')) return 'maintenance';
    if (!snapshot.hasTag('connected') || snapshot.status !== 'active') return 'down';
    if (snapshot.context.severedSince !== null) return 'severed';
    return snapshot.hasTag('degraded') ? 'impaired' : 'whole';
  }

  function figure(component: 'orders' | 'eventLoop', name: string): number {
    return Number(report().components[component]?.[name] ?? 0);
  }
}
