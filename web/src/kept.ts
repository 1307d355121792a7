/** `localStorage`, where the browser keeps anything: one that blocks cookies throws at the first look at it. */
export const kept = {
  get: (key: string): string | null => tried(() => localStorage.getItem(key)),
  set: (key: string, value: string): void => void tried(() => localStorage.setItem(key, value)),
  remove: (key: string): void => void tried(() => localStorage.removeItem(key)),
};

function tried<T>(deed: () => T): T | null {
  try {
    return deed();
  } catch {
    return null;
  }
}
