/** What TWS says of itself: the link to IB, its data farms, our own session, and notes for people. */
import type { SessionReport } from '../../machines/tws.machine.ts';
import type { Farm, FarmKind } from '../../machines/tws.ts';
import { farmNameOf, isKnownCode, meaningOf } from './codes.ts';

export interface NoticeOptions {
  report(event: SessionReport): void;
  /** when the bytes being handled were read, ms */
  readAt(): number;
  /** TWS complained about too many messages */
  limited(): void;
  /** another client has our id; TWS is about to hang up */
  refused(): void;
  unknownCode(code: number, message: string): void;
}

const farmLimit = 256;

/** Takes the notices of one session, which are errors without an id. */
export function createNotices({ report, readAt, limited, refused, unknownCode }: NoticeOptions) {
  const farms = new Map<string, Farm>();

  const noteFarm = (kind: FarmKind, name: string, told: Farm['status'] | 'connecting'): void => {
    const at = readAt();
    const key = `${kind}:${name}`;
    // A farm that is connecting is not there yet: a broken one stays broken until it says OK.
    const status = told === 'connecting' ? (farms.get(key)?.status ?? 'inactive') : told;
    const farm: Farm = { name, kind, status, since: at };
    if (farms.has(key) || farms.size < farmLimit) farms.set(key, farm);
    report({ type: 'farm.changed', farm, at });
  };

  const mendFarms = (): void => {
    for (const { kind, name, status } of [...farms.values()]) {
      if (status === 'broken') noteFarm(kind, name, 'ok');
    }
  };

  return (code: number, message: string): void => {
    const at = readAt();
    const { system } = meaningOf(code);
    if (!isKnownCode(code)) unknownCode(code, message);
    switch (system?.scope) {
      case 'farm':
        noteFarm(system.kind, farmNameOf(message), system.status);
        break;
      case 'link':
        if (system.change === 'severed') {
          report({ type: 'link.severed', at });
          break;
        }
        if (/all data farms are connected/i.test(message)) mendFarms();
        report({ type: 'link.restored', dataLost: system.change === 'restoredDataLost', at });
        break;
      case 'session':
        if (system.change === 'limited') {
          limited();
          report({ type: 'session.limited', message, at });
        } else {
          refused();
          report({ type: 'session.refused', cause: 'clientIdInUse', message, at });
        }
        break;
      default:
        report({ type: 'session.noted', code, message, severity: system?.severity ?? 'info', at });
    }
  };
}
