/** Many clients of the stream in a process of their own: some read, some stop reading, some vanish. */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import WebSocket from 'ws';
import { serve } from '../bench/children.ts';
import { FrameCheck } from './frame-check.ts';

/** What one client of the crowd does. */
export interface Role {
  readonly name: string;
  readonly count: number;
  readonly subscribe: readonly Readonly<Record<string, unknown>>[];
  /** stops reading after so many facts or updates; 0: after the last ack */
  readonly stopsAfter?: number;
}

/** What one client heard. */
export interface Heard {
  readonly role: string;
  readonly updates: number;
  /** of events, in the order in which they came */
  readonly journalSeqs: readonly number[];
  /** what no schema allows, and holes */
  readonly problems: readonly string[];
  readonly closed: number | null;
}

class Member {
  readonly role: Role;
  readonly ready: Promise<void>;
  readonly #socket: WebSocket;
  readonly #check = new FrameCheck();
  readonly #lastSeqs = new Map<unknown, number>();
  readonly #journalSeqs: number[] = [];
  readonly #problems: string[] = [];
  #connection: Socket | null = null;
  #updates = 0;
  #acks = 0;
  #closed: number | null = null;

  constructor(role: Role, port: number) {
    this.role = role;
    this.#socket = new WebSocket(`ws://127.0.0.1:${port}/v1/stream`);
    this.#socket.on('upgrade', ({ socket }: IncomingMessage) => {
      this.#connection = socket;
    });
    this.#socket.on('close', (code) => {
      this.#closed = code;
    });
    this.ready = new Promise((resolve, reject) => {
      this.#socket.on('error', reject);
      this.#socket.on('message', (data) => {
        this.#hear(JSON.parse(String(data)) as Record<string, unknown>);
        if (this.#acks === role.subscribe.length) resolve();
      });
    });
  }

  heard(): Heard {
    return {
      role: this.role.name,
      updates: this.#updates,
      journalSeqs: this.#journalSeqs,
      problems: this.#problems.slice(0, 3),
      closed: this.#closed,
    };
  }

  /** A reset, without a word. */
  vanish(): void {
    this.#connection?.resetAndDestroy();
  }

  #hear(frame: Record<string, unknown>): void {
    const { type, subscription, seq } = frame;
    if (type === 'welcome') {
      this.role.subscribe.forEach((wanted, id) => {
        const message = { type: 'subscribe', id, ...wanted };
        this.#check.sent(message);
        this.#socket.send(JSON.stringify(message));
      });
    }
    this.#problems.push(...this.#check.problems(frame));
    if (type === 'ack') this.#acks += 1;
    if (typeof seq === 'number') {
      const last = this.#lastSeqs.get(subscription) ?? 0;
      if (seq !== last + 1) this.#problems.push(`seq ${seq} after ${last}`);
      this.#lastSeqs.set(subscription, seq);
    }
    if (type === 'update') this.#updates += 1;
    if (type === 'event') this.#journalSeqs.push(Number(frame.journalSeq));
    const { stopsAfter, subscribe } = this.role;
    const had = this.#updates + this.#journalSeqs.length;
    if (stopsAfter !== undefined && this.#acks === subscribe.length && had >= stopsAfter)
      this.#socket.pause();
  }
}

let members: Member[] = [];

serve({
  /** Answers when all have their acks. */
  open: async ({ port, roles }: { readonly port: number; readonly roles: readonly Role[] }) => {
    const opened = roles.flatMap((role) => Array.from({ length: role.count }, () => new Member(role, port)));
    members.push(...opened);
    await Promise.all(opened.map(({ ready }) => ready));
  },
  heard: ({ role }: { readonly role: string }): readonly Heard[] =>
    members.filter((member) => member.role.name === role).map((member) => member.heard()),
  vanish: ({ role }: { readonly role: string }) => {
    for (const member of members) if (member.role.name === role) member.vanish();
    members = members.filter((member) => member.role.name !== role);
  },
});
