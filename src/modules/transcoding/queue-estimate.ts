/**
 * When somebody's work is done in a queue whose owners have turns: each gets an equal share of the speed until theirs is done,
 * so of every other owner's work as much is done meanwhile as of this one's.
 *
 * @param work of the owner: what is wanted, and what they have before it
 * @param others the work of each other owner
 * @param speed work a second, of all workers together
 */
export function secondsUntilDone(work: number, others: readonly number[], speed: number): number {
  const meanwhile = others.reduce((sum, other) => sum + Math.min(other, work), 0);
  return Math.ceil((work + meanwhile) / speed);
}
