/** Clients by the hundred that stop reading or vanish, over real sockets, from a process of their own. */
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Child, startChild } from '../bench/children.ts';
import type { Heard, Role } from './crowd.ts';
import { type Running, startServer, until } from './running.ts';

const keys = Array.from({ length: 400 }, (_, n) => `SYM${n}`);
const skipAboveBytes = 64 * 1024;
const closeAboveBytes = 512 * 1024;
// with the beats, more than the kernel keeps for a socket (4 MB)
const alertBytes = 32_000;
const alerts = 120;
const counts = { reading: 15, stuck: 110, vanishing: 120 } as const;

let running: Running;
let crowd: Child;
let fanOuts = 0;
let framesOfBeat = 0;
let peakUnsent = 0;

const heard = (role: string) => crowd.call<readonly Heard[]>('heard', { role });
const open = (...roles: readonly Role[]) => crowd.call('open', { port: running.port, roles });
const role = (name: keyof typeof counts, more: Omit<Role, 'name' | 'count'>): Role => ({
  name,
  count: counts[name],
  ...more,
});
const figures = () => running.server.streams.figures();
const appendAlert = (n: number) =>
  running.journal.append('alerts', 'alert.raised', { alert: { n, text: 'x'.repeat(alertBytes) } });

let value = 0;
/** One beat, until its last frame is handed over. */
async function beat(): Promise<void> {
  const before = fanOuts;
  value += 1;
  for (const key of keys) running.market.tick(key, 'bid', value);
  running.market.beat();
  while (fanOuts === before) await new Promise((resolve) => setImmediate(resolve));
  peakUnsent = Math.max(peakUnsent, figures().unsentBytes);
}

beforeAll(async () => {
  running = await startServer({
    streamLimits: { skipAboveBytes, closeAboveBytes, stallMs: 500 },
    onFanOut: (_ms, frames) => {
      fanOuts += 1;
      framesOfBeat = frames;
    },
  });
  crowd = startChild(new URL('crowd.ts', import.meta.url), {
    cwd: fileURLToPath(new URL('.', import.meta.url)),
  });
}, 30_000);
afterAll(async () => {
  await crowd.stop();
  await running.server.close();
});

describe('hundreds that stop reading', () => {
  const memory = () => {
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  };
  let memoryBefore = 0;
  let beats = 0;

  const narrow = { channel: 'quotes', keys: ['SYM0'] };
  const keptUp = async () => {
    const readers = await heard('reading');
    return readers.every(
      ({ updates, journalSeqs }) => updates >= beats && journalSeqs.length >= Math.min(beats, alerts),
    );
  };

  beforeAll(async () => {
    await open(
      role('reading', { subscribe: [narrow, { channel: 'alerts', after: 0 }] }),
      role('stuck', {
        subscribe: [
          { channel: 'quotes', keys },
          { channel: 'alerts', after: 0 },
        ],
        stopsAfter: 5,
      }),
    );
    memoryBefore = memory();
    const end = performance.now() + 90_000;
    // Closed by time: a busy machine makes fewer beats meanwhile, and the facts are not all told yet.
    while (figures().closedSlow < counts.stuck || beats < alerts) {
      if (performance.now() > end) throw new Error(`not all closed: ${JSON.stringify(figures())}`);
      if (beats < alerts) appendAlert(beats);
      await beat();
      beats += 1;
      // no faster than those who read: whoever falls behind does so by itself
      if (beats % 10 === 0) while (!(await keptUp())) expect(performance.now()).toBeLessThan(end);
    }
  }, 120_000);

  it('are closed as slow, all of them, and leave nothing behind', async () => {
    await until(() => figures().connected === counts.reading, 10_000);
    expect(figures()).toMatchObject({
      closedSlow: counts.stuck,
      subscriptions: counts.reading * 2,
      slow: 0,
    });
    expect(running.market.lines.get('SYM0')).toBe(1);
    expect(running.market.lines.get('SYM1')).toBe(0);
  });

  it('never hold more than their bounds', async () => {
    // a frame of either kind may be begun below the bound; a reading client holds little
    const frame = 40 * 1024;
    const bound = counts.reading * (skipAboveBytes + frame) + counts.stuck * (closeAboveBytes + frame);
    expect(peakUnsent).toBeGreaterThan(counts.stuck * skipAboveBytes);
    expect(peakUnsent).toBeLessThan(bound);
    await until(() => figures().unsentBytes < counts.reading * skipAboveBytes, 10_000);
    expect(memory() - memoryBefore).toBeLessThan(bound + 150_000_000);
  });

  it('cost the others no beat and no fact', async () => {
    expect(beats).toBeGreaterThanOrEqual(alerts);
    for (const end = performance.now() + 30_000; !(await keptUp()); )
      expect(performance.now()).toBeLessThan(end);
    const whole = Array.from({ length: alerts }, (_, n) => n + 1);
    for (const { updates, journalSeqs, problems, closed } of await heard('reading')) {
      expect({ problems, closed }).toEqual({ problems: [], closed: null });
      expect(updates).toBe(beats);
      expect(journalSeqs).toEqual(whole);
    }
  }, 40_000);

  it('resume the facts from where they stopped, and miss none', async () => {
    const stopped = await heard('stuck');
    expect(stopped).toHaveLength(counts.stuck);
    for (const [index, { journalSeqs, problems }] of stopped.entries()) {
      expect(problems).toEqual([]);
      expect(journalSeqs.length).toBeLessThan(alerts);
      const after = journalSeqs.at(-1) ?? 0;
      await open({ name: `back${index}`, count: 1, subscribe: [{ channel: 'alerts', after }] });
    }
    const missing = async () => {
      for (const [index, { journalSeqs }] of stopped.entries()) {
        const [back] = await heard(`back${index}`);
        const seqs = [...journalSeqs, ...(back?.journalSeqs ?? [])];
        if (seqs.length < alerts) return true;
        expect(seqs).toEqual(Array.from({ length: alerts }, (_, n) => n + 1));
      }
      return false;
    };
    for (const end = performance.now() + 40_000; await missing(); )
      expect(performance.now()).toBeLessThan(end);
  }, 60_000);
});

describe('hundreds that vanish', () => {
  it('leave no subscription, no line and no bytes behind', async () => {
    const { connected, subscriptions } = figures();
    await open(
      role('vanishing', {
        subscribe: [
          { channel: 'quotes', keys: ['GONE', 'SYM0'] },
          { channel: 'alerts' },
          { channel: 'actors' },
        ],
        stopsAfter: 1,
      }),
    );
    expect(figures()).toMatchObject({
      connected: connected + counts.vanishing,
      subscriptions: subscriptions + counts.vanishing * 3,
    });
    expect(running.market.lines.get('GONE')).toBe(1);
    const end = performance.now() + 30_000;
    const haveRead = async () =>
      (await heard('reading')).every(
        ({ journalSeqs }) => journalSeqs.length >= running.journal.records.length,
      );
    const gone = crowd.call('vanish', { role: 'vanishing' });
    // frames are written to sockets that are being reset
    for (let n = 0; n < 20; n += 1) {
      running.market.tick('GONE', 'bid', n);
      appendAlert(n);
      await beat();
      // no faster than those who read, as above
      if (n % 10 === 9) while (!(await haveRead())) expect(performance.now()).toBeLessThan(end);
    }
    await gone;
    await until(() => figures().connected === connected, 15_000);
    // Who was behind for a moment is told everything again after some beats or a heartbeat; one that is gone never is.
    while (figures().slow > 0) {
      expect(performance.now()).toBeLessThan(end);
      await beat();
    }
    expect(figures()).toMatchObject({ subscriptions, slow: 0 });
    expect(running.market.lines.get('GONE')).toBe(0);
    expect(running.market.lines.get('SYM0')).toBe(1);
    await beat();
    expect(framesOfBeat).toBe(counts.reading);
  }, 60_000);
});

describe('many that take nothing, each within its own bound', () => {
  it('are closed, those with the most unsent first, once they hold too much together', async () => {
    const unsentBytesMax = 6_000_000;
    const server = await startServer({
      streamLimits: { closeAboveBytes: 50_000_000, stallMs: 600_000, unsentBytesMax },
    });
    const { streams } = server.server;
    try {
      await crowd.call('open', {
        port: server.port,
        roles: [
          { name: 'heavy', count: 6, subscribe: [{ channel: 'alerts' }], stopsAfter: 0 },
          { name: 'light', count: 3, subscribe: [{ channel: 'health' }] },
        ],
      });
      // A kernel takes some megabytes for each socket before anything is unsent.
      for (let n = 0; streams.figures().closedSlow === 0; n += 1) {
        expect(n).toBeLessThan(800);
        server.journal.append('alerts', 'alert.raised', { alert: { n, text: 'x'.repeat(alertBytes) } });
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      await until(() => streams.figures().unsentBytes <= unsentBytesMax, 10_000);
      for (const { closed } of await heard('light')) expect(closed).toBeNull();
    } finally {
      await server.server.close();
    }
  }, 60_000);
});
