/** Pairs of state and word that cannot meet in a simulated world, with the reason. The coverage proves them: one that is met is printed. */

export interface ImpossiblePairs {
  readonly machine: 'order' | 'gate' | 'tws' | 'reconciliation' | 'audit';
  /** null: in any */
  readonly states: readonly string[] | null;
  /** null: any */
  readonly words: readonly string[] | null;
  readonly because: string;
}

export const impossible: readonly ImpossiblePairs[] = [];
