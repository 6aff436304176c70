import { expect, test } from 'vitest';
import { createActor, fromCallback } from 'xstate';
import type { JournalCommand } from '../../machines/journal.ts';
import { runtimeMachine } from '../../machines/runtime.machine.ts';
import { seedAfter } from '../../machines/runtime.ts';
import { restartsMax, restartWindowMs } from '../../machines/supervision.ts';
import {
  type SessionCommand,
  type SessionInput,
  type SessionReport,
  twsMachine,
} from '../../machines/tws.machine.ts';
import { VirtualClock } from '../../src/simulator/clock.ts';
import { unlimited } from './orders.ts';

const at = Date.UTC(2026, 0, 14, 15);

/** The supervisor over a connection whose machine breaks whenever the peer hangs up. */
function fragileRuntime() {
  const clock = new VirtualClock(at);
  const sessions: string[] = [];
  const told: { event: string; sessionId: unknown }[] = [];
  let say: (report: SessionReport) => void = () => undefined;
  const tws = twsMachine.provide({
    actors: {
      session: fromCallback<SessionCommand, SessionInput>(({ input, sendBack, receive }) => {
        sessions.push(input.sessionId);
        say = sendBack as typeof say;
        receive((command) => {
          if (command.type === 'session.probe')
            sendBack({ type: 'session.probed', rttMs: 1, at: clock.now() });
        });
      }),
    },
    actions: {
      noteLimited: () => {
        throw new Error('broken inside');
      },
    },
  });
  const journal = fromCallback<JournalCommand>(({ receive }) => {
    receive(({ entries }) => {
      for (const entry of entries)
        if (entry.kind === 'health') told.push({ event: entry.event, sessionId: entry.detail.sessionId });
    });
  });
  const root = createActor(runtimeMachine.provide({ actors: { tws, journal } }), {
    clock,
    input: {
      tws: { host: '127.0.0.1', port: 1, clientId: 1, seed: 7 },
      gate: { limits: unlimited, tradingMode: 'paper', latched: { state: 'open', reasons: [] } },
      market: {},
    },
  });
  root.subscribe({ error: () => undefined });
  root.start();
  root.send({ type: 'runtime.connect' });
  const connect = () => {
    for (const report of [
      { type: 'session.dialing', at: clock.now() },
      { type: 'session.connected', at: clock.now() },
      { type: 'session.greeted', serverVersion: 193, at: clock.now() },
      { type: 'session.accountsListed', accounts: ['DU1'], at: clock.now() },
      { type: 'session.orderIdGranted', orderId: 5, at: clock.now() },
    ] as const)
      say(report);
  };
  return {
    root,
    clock,
    sessions,
    told,
    connect,
    breakDown: () => say({ type: 'session.limited', message: 'too fast', at: clock.now() }),
  };
}

test('a connection that is replaced never uses the name of a former session, and its loss is told once', () => {
  const { root, clock, sessions, told, connect, breakDown } = fragileRuntime();
  for (let life = 0; life < restartsMax; life += 1) {
    connect();
    expect(told.at(-1)).toEqual({ event: 'tws.ready', sessionId: sessions.at(-1) });
    breakDown();
    expect(told.at(-1)).toEqual({ event: 'tws.lost', sessionId: sessions.at(-1) });
    clock.advance(1_000);
  }
  expect(sessions).toHaveLength(restartsMax + 1);
  expect(new Set(sessions).size).toBe(sessions.length);
  expect(root.getSnapshot().hasTag('disabled')).toBe(false);
  connect();
  breakDown();
  expect(root.getSnapshot().hasTag('disabled')).toBe(true);
  expect(told.at(-1)).toEqual({ event: 'tws.lost', sessionId: sessions.at(-1) });
});

test('seeds after restarts differ from each other and from their neighbours', () => {
  const seeds = [1, 2, 3, 1_000].flatMap((seed) =>
    Array.from({ length: restartsMax + 1 }, (_, restarts) => seedAfter(seed, restarts)),
  );
  expect(new Set(seeds).size).toBe(seeds.length);
});

test('restarts are counted within a window: old ones are forgotten', () => {
  const { root, clock, sessions, connect, breakDown } = fragileRuntime();
  const liveFor = (ms: number) => {
    connect();
    clock.advance(ms);
    breakDown();
    clock.advance(1_000);
  };
  for (let life = 1; life <= 3 * restartsMax; life += 1) {
    liveFor(restartWindowMs / restartsMax);
    expect(root.getSnapshot().hasTag('disabled'), `after ${life} failures`).toBe(false);
  }
  expect(root.getSnapshot().context.restarts.tws).toBe(3 * restartsMax);
  expect(sessions).toHaveLength(3 * restartsMax + 1);
  expect(new Set(sessions).size).toBe(sessions.length);
  liveFor(100);
  liveFor(100);
  expect(root.getSnapshot().hasTag('disabled'), 'one too many').toBe(true);
});
