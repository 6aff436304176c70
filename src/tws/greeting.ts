/**
 * A visit to a gateway that ends before anything is asked of it: greeting, introduction, the time of day, goodbye. For
 * finding out whether a session would come about, without one.
 */
import { connect } from 'node:net';
import { createFrameSplitter } from './frames.ts';

export interface GreetingOptions {
  readonly host: string;
  readonly port: number;
  /** of the visit; not the one that trades */
  readonly clientId: number;
  /** for each of: to connect, to be greeted, to be introduced */
  readonly patienceMs: number;
  /** ms since the epoch */
  readonly now: () => number;
}

/** How a visit ended. */
export type Greeting =
  | {
      readonly outcome: 'welcome';
      readonly serverVersion: number;
      readonly accounts: readonly string[];
      /** the gateway's clock, which tells whole seconds, minus ours, ms */
      readonly skewMs: number;
      /** what the gateway said of its links meanwhile: IB's codes from 1100 to 2199 */
      readonly notices: readonly { readonly code: number; readonly message: string }[];
    }
  | {
      readonly outcome:
        | 'refused'
        | 'unreachable'
        | 'turnedAway'
        | 'silent'
        | 'garbage'
        | 'versionUnsupported'
        | 'clientIdInUse'
        | 'unintroduced';
      readonly message: string;
    };

/** Server versions that the client library takes. */
export const supportedVersions = { from: 100, to: 193 } as const;
/** The oldest that this runtime is tested with. */
export const testedFrom = 173;

const kinds = { error: '4', orderIdGranted: '9', accounts: '15', currentTime: '49' } as const;
const noticesMax = 50;

/** Resolves always; the socket is gone when it does. */
export function greet({ host, port, clientId, patienceMs, now }: GreetingOptions): Promise<Greeting> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const notices: { code: number; message: string }[] = [];
    let phase: 'connecting' | 'greeting' | 'introduction' = 'connecting';
    let serverVersion = 0;
    let accounts: readonly string[] | null = null;
    let hasOrderId = false;
    let askedAt = 0;
    let patience: NodeJS.Timeout | undefined;

    const end = (greeting: Greeting): void => {
      clearTimeout(patience);
      socket.removeAllListeners();
      socket.on('error', () => undefined);
      socket.destroy();
      resolve(greeting);
    };
    const enter = (next: typeof phase): void => {
      phase = next;
      clearTimeout(patience);
      patience = setTimeout(() => end(lateness()), patienceMs);
    };
    const lateness = (): Greeting => {
      const within = `within ${patienceMs} ms`;
      if (phase === 'connecting')
        return { outcome: 'unreachable', message: `${host}:${port} did not answer ${within}` };
      if (phase === 'greeting')
        return { outcome: 'silent', message: `the port is open, but nothing was said ${within}` };
      const missing = accounts === null ? 'accounts' : hasOrderId ? 'time of day' : 'order id';
      return { outcome: 'unintroduced', message: `greeted, but no ${missing} came ${within}` };
    };
    const send = (...fields: readonly (string | number)[]): void => {
      socket.write(framed(`${fields.join('\0')}\0`));
    };

    const hear = (fields: readonly string[]): void => {
      if (phase === 'greeting') {
        if (fields.length < 2 || !/^\d{1,5}$/.test(fields[0] ?? '')) {
          end({ outcome: 'garbage', message: `the first words were "${fields.join('|').slice(0, 64)}"` });
          return;
        }
        serverVersion = Number(fields[0]);
        if (serverVersion < supportedVersions.from || serverVersion > supportedVersions.to) {
          const { from, to } = supportedVersions;
          const message = `server version ${serverVersion}; ${from} to ${to} are understood`;
          end({ outcome: 'versionUnsupported', message });
          return;
        }
        enter('introduction');
        send(71, 2, clientId, '');
        return;
      }
      const [kind, , third = '', fourth, fifth = ''] = fields;
      if (kind === kinds.error) {
        const code = Number(fourth);
        if (code === 326) end({ outcome: 'clientIdInUse', message: fifth });
        else if (code >= 1100 && code < 2200 && notices.length < noticesMax)
          notices.push({ code, message: fifth });
      } else if (kind === kinds.accounts) {
        accounts = third.split(',').filter((account) => account.trim() !== '');
      } else if (kind === kinds.orderIdGranted) hasOrderId = true;
      else if (kind === kinds.currentTime && accounts !== null) {
        const skewMs = Number(third) * 1_000 - (askedAt + now()) / 2;
        end({ outcome: 'welcome', serverVersion, accounts, skewMs, notices });
        return;
      }
      if (accounts !== null && hasOrderId && askedAt === 0) {
        askedAt = now();
        send(49, 1);
      }
    };
    const frames = createFrameSplitter((bytes, start, to) => {
      if (socket.destroyed) return;
      hear(
        bytes
          .toString('utf8', start + 4, to)
          .replace(/\0$/, '')
          .split('\0'),
      );
    });

    enter('connecting');
    socket.setNoDelay(true);
    socket.on('connect', () => {
      enter('greeting');
      const { from, to } = supportedVersions;
      socket.write(Buffer.concat([Buffer.from('API\0'), framed(`v${from}..${to}`)]));
    });
    socket.on('data', (chunk) => {
      if (!frames.push(chunk)) {
        const said = chunk.toString('latin1').replaceAll(/[^\x20-\x7e]+/g, ' ');
        end({ outcome: 'garbage', message: `the bytes are no TWS messages: "${said.slice(0, 64)}"` });
      }
    });
    const closed = (message: string): void =>
      end({
        outcome: phase === 'greeting' ? 'turnedAway' : 'unintroduced',
        message: phase === 'greeting' ? `${message} before a greeting` : `${message} after the greeting`,
      });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (phase !== 'connecting') closed(`the connection broke (${error.code ?? error.message})`);
      else if (error.code === 'ECONNREFUSED')
        end({ outcome: 'refused', message: `nothing listens at ${host}:${port}` });
      else end({ outcome: 'unreachable', message: `${host}:${port}: ${error.message}` });
    });
    socket.on('close', () => closed('the gateway hung up'));
  });
}

function framed(text: string): Buffer {
  const body = Buffer.from(text);
  const header = Buffer.alloc(4);
  header.writeInt32BE(body.length);
  return Buffer.concat([header, body]);
}
